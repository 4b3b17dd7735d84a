"""What a service refuses, in our words: one kind per cause, and a sentence that says what to do."""

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
from packhouse.objects.http.calls import Call, Fault, Judge, Reply
from packhouse.objects.s3.xml import Element, parse

__all__ = ["error_of", "judge_for"]


class _Case(NamedTuple):
    error: type[PackhouseError]
    kind: str
    why: str
    again: bool = False
    throttled: bool = False


_DENIED = _Case(
    StorageError, "access-denied", "access is denied; check the bucket's policy and the rights of these credentials"
)
_KEYS = _Case(StorageError, "bad-credentials", "the credentials are wrong or have expired; renew them")
_SKEW = _Case(StorageError, "clock-skew", "this machine's clock is wrong; set it (NTP)")
_BUCKET = _Case(StoreNotFound, "no-bucket", "there is no such bucket; create it, or check its name and the endpoint")
_MISSING = _Case(NameNotFound, "object-not-found", "there is no such object")
_REGION = _Case(StorageError, "wrong-region", "the bucket is in another region; set `region`")
_BUSY = _Case(StorageError, "throttled", "the service asks for less load; try again later", again=True, throttled=True)
_FAILED = _Case(StorageError, "service-failed", "the service failed; try again later", again=True)
_CONFLICT = _Case(NameConflict, "object-conflict", "it is not as it was thought to be; nothing was written")
_DAMAGED = _Case(StorageError, "damaged-in-transit", "the bytes arrived damaged; try again", again=True)
_RANGE = _Case(InvalidInput, "object-range", "the range is not within the object")
_LACKING = _Case(UnsupportedStore, "not-implemented", "the service does not implement it")
_LARGE = _Case(InvalidInput, "too-large", "it is larger than the service takes")
_ARCHIVED = _Case(StorageError, "archived", "the object is archived; restore it, and keep packs out of archive classes")
_SLOW = _Case(StorageError, "connection-lost", "the service saw no body in time; try again", again=True)

_CODES = {
    **dict.fromkeys(("AccessDenied", "AllAccessDisabled", "AccountProblem", "NotSignedUp"), _DENIED),
    **dict.fromkeys(
        ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired",
         "InvalidSecurity", "CredentialsNotSupported", "AccessForbidden", "InvalidTokenId"), _KEYS,
    ),
    "RequestTimeTooSkewed": _SKEW,
    "RequestExpired": _SKEW,
    "NoSuchBucket": _BUCKET,
    "NoSuchKey": _MISSING,
    **dict.fromkeys(
        ("PermanentRedirect", "TemporaryRedirect", "Redirect", "AuthorizationHeaderMalformed",
         "IllegalLocationConstraintException"), _REGION,
    ),
    **dict.fromkeys(("SlowDown", "SlowDownRead", "SlowDownWrite", "RequestLimitExceeded", "ServiceUnavailable",
                     "Throttling", "ThrottlingException", "TooManyRequests", "RequestThrottled", "Busy"), _BUSY),
    **dict.fromkeys(("InternalError", "OperationAborted", "ConditionalRequestConflict"), _FAILED),
    **dict.fromkeys(("BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch",
                     "IncompleteBody"), _DAMAGED),
    "PreconditionFailed": _CONFLICT,
    "InvalidRange": _RANGE,
    "NotImplemented": _LACKING,
    "EntityTooLarge": _LARGE,
    "InvalidObjectState": _ARCHIVED,
    "RequestTimeout": _SLOW,
}  # fmt: skip
_STATUSES = {
    301: _REGION, 307: _REGION, 308: _REGION, 401: _KEYS, 403: _DENIED, 404: _MISSING, 408: _SLOW, 412: _CONFLICT,
    413: _LARGE, 416: _RANGE, 429: _BUSY, 500: _FAILED, 501: _LACKING, 502: _FAILED, 503: _BUSY, 504: _FAILED,
}  # fmt: skip


def judge_for(call: Call, *, hidden: bool = False) -> Judge:
    """Return the judge of a call's replies: a good one is an answer, everything else an error.

    Args:
        call: what was asked.
        hidden: whether a good status may hide an error in its body.
    """

    def judge(reply: Reply) -> Fault | None:
        if reply.status in (200, 204, 206):
            if not hidden:
                return None
            root = _parse(reply, call.what)
            if root is not None and root.name != "Error":
                return None
            if root is None:
                message = f"cannot {call.what}: the answer is no XML that can be used"
                return Fault(StorageError(message, kind="bad-answer"), again=True)
            return error_of(call.what, 500, root)
        hint = reply.headers.get("x-amz-bucket-region", "")
        return error_of(call.what, reply.status, _parse(reply, call.what), hint)

    return judge


def _parse(reply: Reply, what: str) -> Element | None:
    if not bytes(reply.body[:512]).strip():
        return None
    try:
        return parse(reply.body, what)
    except StorageError:
        return None


def error_of(what: str, status: int, root: Element | None = None, region: str = "") -> Fault:
    """Say what a status, and the error document if there is one, means. Nothing of the document's text is repeated."""
    code = _clean(root.get("Code"), "A-Za-z0-9.") if root is not None else ""
    case = _CODES.get(code) or _STATUSES.get(status)
    if case is None and 300 <= status < 400:
        message = f"cannot {what}: the service sends us elsewhere ({status}), which is not followed; check the endpoint"
        return Fault(StorageError(message, kind="redirected"))
    if case is None:
        detail = code or f"status {status}"
        again = status >= 500
        message = f"cannot {what}: the service refuses ({detail}); look it up in its documentation"
        return Fault(StorageError(message, kind="refused"), again=again)
    why = case.why
    region = _clean(region or (root.get("Region") if root is not None else ""), "a-z0-9-")
    if case is _REGION and region:
        why = f"the bucket is in region {region}; set `region`"
    detail = f" ({code})" if code else ""
    return Fault(case.error(f"cannot {what}: {why}{detail}", kind=case.kind), case.again, case.throttled)


def _clean(text: str, allowed: str) -> str:
    return re.sub(f"[^{allowed}]", "", text)[:60]
