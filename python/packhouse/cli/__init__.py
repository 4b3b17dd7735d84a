"""The command `packhouse`: one file per command, nothing imported before it is used."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; what the process exits with is described in `packhouse.cli.exits`."""
    from packhouse.cli.app import app

    sys.exit(app())
