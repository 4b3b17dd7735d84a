"""The torture rows of the scorecard: each module drives a store into one kind of trouble and counts what a user lost.

The oracle always lives in another process than the store under test and is fed through a pipe.
Every harness is itself tested: a naive store with a planted bug must fail it (`test_selfcheck.py`).
"""
