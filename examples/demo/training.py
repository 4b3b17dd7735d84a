"""A model trained on a data set that scikit-learn ships, checkpoint by checkpoint."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.neural_network import MLPClassifier

__all__ = ["checkpoints", "data_set"]

Array = np.ndarray[Any, np.dtype[Any]]


def data_set() -> dict[str, Array]:
    """Load the handwritten digits: 1,797 images of 8 × 8."""
    digits = load_digits()
    return {"data": np.ascontiguousarray(digits.data), "target": np.ascontiguousarray(digits.target)}


def checkpoints(rounds: int) -> Iterator[dict[str, Array | bytes]]:
    """Train a network and a forest; after each round yield all that a checkpoint holds.

    The network's layers change in every round. The forest grows: a round keeps the trees of the rounds before, so that
    its file (a pickle, as scikit-learn's users write it; the store sees bytes) shares most of it with the last.
    """
    digits = data_set()
    network = MLPClassifier((512, 256), random_state=7)
    forest = RandomForestClassifier(n_estimators=0, warm_start=True, random_state=7, n_jobs=1)
    for _ in range(rounds):
        for _ in range(2):
            network.partial_fit(digits["data"], digits["target"], classes=np.arange(10))
        forest.n_estimators += 25
        forest.fit(digits["data"], digits["target"])
        layers = {f"network/layer{number}": layer for number, layer in enumerate(network.coefs_)}
        yield {**digits, **layers, "forest.pickle": pickle.dumps(forest)}
