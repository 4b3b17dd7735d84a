"""`python -m tests.servers.fetch`: put the programs into `.venv/servers`, before tests have a time limit to hold.

What cannot be had is told in a line; whether its tests are skipped or fail is theirs to say.
"""

from __future__ import annotations

from tests.servers import azurite, fake_gcs, seaweedfs
from tests.servers.running import ServerMissing


def main() -> None:
    """Fetch them, one after the other."""
    for server in (seaweedfs, fake_gcs, azurite):
        try:
            print(f"  {server.install()}")
        except ServerMissing as missing:
            print(f"  {missing}")


if __name__ == "__main__":
    main()
