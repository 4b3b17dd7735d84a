"""What a load raises instead of returning wrong bytes."""

from typing import Any

from metaflow.exception import MetaflowException


class UnreadableArtifact(MetaflowException):
    """A blob that is missing or damaged. No `DataException`: Metaflow's `get` would answer with the default.

    Attributes:
        key: the SHA-1 of the content.
        path: the file.
    """

    headline = "Unreadable artifact"

    def __init__(self, key: str, path: str, names: str, what: str) -> None:
        start: Any = super().__init__
        start(msg=f"{names} cannot be read: the file {path} of key {key} {what}")
        self.key = key
        self.path = path
