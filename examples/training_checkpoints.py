"""Checkpoints of a training run: each is durable when its name says so, and a killed run goes on where it stopped.

Run it with `python examples/training_checkpoints.py`, interrupt it, run it again; it makes `example-store` in the
current folder.
Parameters are saved as arrays, one blob each: nothing is pickled, what does not change is stored once, and a reader can
load a single layer.
"""

from __future__ import annotations

from typing import TypeAlias

import anyio
import numpy as np

import packhouse

NAME = "runs/linear/checkpoint"
EPOCHS = 10

Array: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Parameters: TypeAlias = dict[str, Array]


async def save_checkpoint(store: packhouse.BlobStore, epoch: int, parameters: Parameters) -> None:
    """Save the blobs first, then let the name point at them: the order that never leaves a broken checkpoint."""
    saved = await store.save_blobs(parameters.values())
    layers = {
        layer: {"key": blob.key, "dtype": array.dtype.str, "shape": list(array.shape)}
        for (layer, array), blob in zip(parameters.items(), saved, strict=True)
    }
    await store.names.put(NAME, {"epoch": epoch, "layers": layers}, refs=[blob.key for blob in saved])
    print(f"epoch {epoch}: {sum(blob.stored_size for blob in saved):,} bytes added")


async def load_checkpoint(store: packhouse.BlobStore) -> tuple[int, Parameters] | None:
    """Load what the name points at, straight into arrays; None before the first checkpoint."""
    try:
        found = await store.names.get(NAME)
    except packhouse.NameNotFound:
        return None
    parameters: Parameters = {}
    for layer, about in found.doc["layers"].items():
        array = np.empty(about["shape"], dtype=about["dtype"])
        await store.load_into(about["key"], array)
        parameters[layer] = array
    return found.doc["epoch"], parameters


def train(parameters: Parameters, inputs: Array, targets: Array) -> None:
    """Take one step of gradient descent; the embedding is frozen, as in fine-tuning."""
    features = inputs @ parameters["embedding"]
    error = features @ parameters["head"] - targets
    parameters["head"] -= 0.05 * features.T @ error / len(inputs)


async def main() -> None:
    """Train, with a checkpoint after each epoch."""
    random = np.random.default_rng(7)
    inputs = random.normal(size=(512, 64))
    targets = inputs @ random.normal(size=(64, 8))

    async with packhouse.open("example-store") as store:
        epoch, parameters = await load_checkpoint(store) or (
            0,
            {"embedding": random.normal(size=(64, 1024)) / 32, "head": np.zeros((1024, 8))},
        )
        for now in range(epoch + 1, EPOCHS + 1):
            train(parameters, inputs, targets)
            await save_checkpoint(store, now, parameters)

        last = await load_checkpoint(store)
        assert last is not None
        assert last[0] == EPOCHS
        error = inputs @ last[1]["embedding"] @ last[1]["head"] - targets
        print(f"after {last[0]} epochs the mean square error is {float((error**2).mean()):.3f}")


if __name__ == "__main__":
    anyio.run(main)
