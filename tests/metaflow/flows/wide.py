"""A foreach of many tasks and a join; on request a failure to resume from."""

import os
import random

from metaflow import FlowSpec, Parameter, step


class Wide(FlowSpec):
    width = Parameter("width", default=100)

    @step
    def start(self):
        self.shared = random.Random(1).randbytes(300_000)
        self.numbers = list(range(self.width))
        self.next(self.work, foreach="numbers")

    @step
    def work(self):
        self.own = random.Random(self.input).randbytes(20_000)
        self.next(self.join)

    @step
    def join(self, inputs):
        if os.environ.get("WIDE_BREAK"):
            raise RuntimeError("broken on request")
        inputs = list(inputs)
        if os.environ.get("WIDE_ANY_ORDER"):  # Metaflow 2.11.0 hands more than four over in any order, without us too
            inputs.sort(key=lambda task: task.index)
        assert len(inputs) == self.width
        for number, task in enumerate(inputs):
            assert task.own == random.Random(number).randbytes(20_000)
        self.owns = [task.own[:10] for task in inputs]
        self.merge_artifacts(inputs, exclude=["own"])
        self.next(self.end)

    @step
    def end(self):
        assert self.shared == random.Random(1).randbytes(300_000)
        assert len(self.owns) == self.width


if __name__ == "__main__":
    Wide()
