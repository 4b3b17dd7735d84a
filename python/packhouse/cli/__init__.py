"""The command `packhouse`: one file per command, nothing imported before it is used.

What the process exits with:

| code | meaning |
| --- | --- |
| 0 | done |
| 1 | the operation failed: a full or failing disk, a file that changed while it was read or was gone by then |
| 2 | the command line makes no sense |
| 3 | no such store, name or blob |
| 4 | damage: stored bytes do not verify, or a blob in the index cannot be found whole |
| 5 | refused: a store of another format, a store opened for reading only, a name that changed meanwhile |
| 6 | the outcome is not known: what was to be saved may or may not be there; saving again makes it certain |
| 130 | interrupted; what had been printed as saved is durable |
| 141 | whoever read standard output has left: a pipe into `head`, for instance |
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line and leave with one of the exit codes above."""
    from packhouse.cli.streams import fill_gaps

    fill_gaps()
    from packhouse.cli.app import app
    from packhouse.cli.run import start

    sys.exit(start(app))
