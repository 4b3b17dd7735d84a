"""Artifacts of many kinds, passed from step to step and changed on the way."""

import random

from metaflow import FlowSpec, Parameter, step


class Linear(FlowSpec):
    size = Parameter("size", default=3_000_000)

    @step
    def start(self):
        dice = random.Random(7)
        self.noise = dice.randbytes(self.size)
        self.zeros = bytes(self.size)
        self.text = [f"line {number}" for number in range(20_000)]
        self.nothing = None
        self.empty = b""
        self.next(self.middle)

    @step
    def middle(self):
        self.text.append("one more")
        self.next(self.end)

    @step
    def end(self):
        assert self.noise == random.Random(7).randbytes(self.size)
        assert self.zeros == bytes(self.size)
        assert self.text[-1] == "one more"
        assert self.nothing is None
        assert self.empty == b""


if __name__ == "__main__":
    Linear()
