"""Branches, joins, a retry, a caught failure, a file, a card, a large array; on request a failure to resume from."""

import os

import numpy as np
from metaflow import FlowSpec, IncludeFile, Parameter, card, catch, current, retry, step


class Troubled(FlowSpec):
    broken = Parameter("broken", default="")
    table = IncludeFile("table", default=os.environ.get("TROUBLED_TABLE"), is_text=True)

    @step
    def start(self):
        self.array = np.arange(4_000_000, dtype=np.float32)
        self.next(self.left, self.right)

    @retry(times=2, minutes_between_retries=0)
    @step
    def left(self):
        self.before = f"attempt {current.retry_count}"
        if current.retry_count == 0:
            raise RuntimeError("once")
        self.sum = float(self.array.sum())
        self.next(self.join)

    @catch(var="failure")
    @step
    def right(self):
        self.kept = "right"
        if self.kept:
            raise ValueError("caught")
        self.next(self.join)

    @card(type="blank")
    @step
    def join(self, inputs):
        assert inputs.left.before == "attempt 1"
        assert "caught" in str(inputs.right.failure.exception)
        self.merge_artifacts(inputs, include=["array"])
        self.sum = inputs.left.sum
        if os.environ.get("TROUBLED_BREAK"):
            raise RuntimeError("broken on request")
        self.next(self.end)

    @step
    def end(self):
        assert np.array_equal(self.array, np.arange(4_000_000, dtype=np.float32))
        assert self.table.splitlines() == ["a,b", "1,2"]


if __name__ == "__main__":
    Troubled()
