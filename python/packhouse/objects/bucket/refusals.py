"""What services refuse, in our words: one kind per cause, and a sentence that says what to do."""

from __future__ import annotations

import re
from typing import NamedTuple

from packhouse.errors import (
    InvalidInput,
    NameConflict,
    NameNotFound,
    PackhouseError,
    StorageError,
    StoreNotFound,
    UnsupportedStore,
)
from packhouse.objects.http.calls import Fault

__all__ = ["STATUSES", "Case", "clean", "fault_of"]


class Case(NamedTuple):
    """A cause."""

    error: type[PackhouseError]
    kind: str
    why: str
    again: bool = False
    throttled: bool = False
    undone: bool = False


DENIED = Case(
    StorageError, "access-denied", "access is denied; check the bucket's policy and the rights of these credentials"
)
KEYS = Case(StorageError, "bad-credentials", "the credentials are wrong or have expired; renew them")
SKEW = Case(StorageError, "clock-skew", "this machine's clock is wrong; set it (NTP)")
BUCKET = Case(StoreNotFound, "no-bucket", "there is no such bucket; create it, or check its name and the endpoint")
MISSING = Case(NameNotFound, "object-not-found", "there is no such object")
REGION = Case(StorageError, "wrong-region", "the bucket is in another region; set `region`")
BUSY = Case(StorageError, "throttled", "the service asks for less load; try again later", again=True, throttled=True)
FULL = BUSY._replace(undone=True)  # by a word of its own: behind a mere 503 may stand a proxy that lost the answer
FAILED = Case(StorageError, "service-failed", "the service failed; try again later", again=True)
CONFLICT = Case(NameConflict, "object-conflict", "it is not as it was thought to be; nothing was written")
DAMAGED = Case(StorageError, "damaged-in-transit", "the bytes arrived damaged; try again", again=True)
RANGE = Case(InvalidInput, "object-range", "the range is not within the object")
LACKING = Case(UnsupportedStore, "not-implemented", "the service does not implement it")
LARGE = Case(InvalidInput, "too-large", "it is larger than the service takes")
ARCHIVED = Case(StorageError, "archived", "the object is archived; restore it, and keep packs out of archive classes")
SLOW = Case(StorageError, "connection-lost", "the service saw no body in time; try again", again=True)

STATUSES = {
    401: KEYS, 403: DENIED, 404: MISSING, 408: SLOW, 412: CONFLICT, 413: LARGE, 416: RANGE, 429: BUSY, 500: FAILED,
    501: LACKING, 502: FAILED, 503: BUSY, 504: FAILED,
}  # fmt: skip
"""What a status means where the service gives no code of its own."""


def fault_of(what: str, status: int, code: str, case: Case | None, why: str = "") -> Fault:
    """Say what a refusal means. Nothing of the answer's text is repeated but a cleaned code.

    Args:
        what: the operation and the name.
        status: of the answer.
        code: the service's own word for it, cleaned.
        case: the cause; None for one that is not known.
        why: a better sentence than the case's.
    """
    if case is None and 300 <= status < 400:
        message = f"cannot {what}: the service sends us elsewhere ({status}), which is not followed; check the endpoint"
        return Fault(StorageError(message, kind="redirected"))
    if case is None:
        detail = code or f"status {status}"
        message = f"cannot {what}: the service refuses ({detail}); look it up in its documentation"
        return Fault(StorageError(message, kind="refused"), again=status >= 500)
    detail = f" ({code})" if code else ""
    error = case.error(f"cannot {what}: {why or case.why}{detail}", kind=case.kind)
    return Fault(error, case.again, case.throttled, case.undone)


def clean(text: str, allowed: str = "A-Za-z0-9.") -> str:
    """Return what can stand in a message."""
    return re.sub(f"[^{allowed}]", "", text)[:60]
