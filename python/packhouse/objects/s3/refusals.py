"""What S3, and what speaks it, refuses."""

from __future__ import annotations

from packhouse.errors import StorageError
from packhouse.objects.bucket import refusals as cases
from packhouse.objects.bucket.refusals import STATUSES, clean, fault_of
from packhouse.objects.bucket.xml import Element, name_of, parse
from packhouse.objects.http.calls import Call, Fault, Judge, Reply

__all__ = ["error_of", "judge_for"]

_CODES = {
    **dict.fromkeys(("AccessDenied", "AllAccessDisabled", "AccountProblem", "NotSignedUp"), cases.DENIED),
    **dict.fromkeys(
        ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired",
         "InvalidSecurity", "CredentialsNotSupported", "AccessForbidden", "InvalidTokenId"), cases.KEYS,
    ),
    "RequestTimeTooSkewed": cases.SKEW,
    "RequestExpired": cases.SKEW,
    "NoSuchBucket": cases.BUCKET,
    "NoSuchKey": cases.MISSING,
    **dict.fromkeys(
        ("PermanentRedirect", "TemporaryRedirect", "Redirect", "AuthorizationHeaderMalformed",
         "IllegalLocationConstraintException"), cases.REGION,
    ),
    **dict.fromkeys(("SlowDown", "SlowDownRead", "SlowDownWrite", "RequestLimitExceeded", "Throttling",
                     "ThrottlingException", "TooManyRequests", "RequestThrottled"), cases.FULL),
    **dict.fromkeys(("ServiceUnavailable", "Busy"), cases.BUSY),
    **dict.fromkeys(("InternalError", "OperationAborted", "ConditionalRequestConflict"), cases.FAILED),
    **dict.fromkeys(("BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch",
                     "IncompleteBody"), cases.DAMAGED),
    "PreconditionFailed": cases.CONFLICT,
    "InvalidRange": cases.RANGE,
    "NotImplemented": cases.LACKING,
    "EntityTooLarge": cases.LARGE,
    "InvalidObjectState": cases.ARCHIVED,
    "RequestTimeout": cases.SLOW,
}  # fmt: skip
_STATUSES = STATUSES | dict.fromkeys((301, 307, 308), cases.REGION)


def judge_for(call: Call, *, hidden: bool = False) -> Judge:
    """Return the judge of a call's replies: a good one is an answer, everything else an error.

    Args:
        call: what was asked.
        hidden: whether a good status may hide an error in its body.
    """

    def judge(reply: Reply) -> Fault | None:
        if reply.status in (200, 204, 206):
            if not hidden or _hides_nothing(reply, call.what):
                return None
            root = _parse(reply, call.what)
            if root is None:
                message = f"cannot {call.what}: the answer is no XML that can be used"
                return Fault(StorageError(message, kind="bad-answer"), again=True)
            return error_of(call.what, 500, root) if root.name == "Error" else None
        hint = reply.headers.get("x-amz-bucket-region", "")
        return error_of(call.what, reply.status, _parse(reply, call.what), hint)

    return judge


def _hides_nothing(reply: Reply, what: str) -> bool:
    """Say whether the body is another document than an error's; one that is long is read to its end later, once."""
    try:
        return name_of(reply.body, what) not in ("", "Error")
    except StorageError:
        return False


def _parse(reply: Reply, what: str) -> Element | None:
    if not bytes(reply.body[:512]).strip():
        return None
    try:
        return parse(reply.body, what)
    except StorageError:
        return None


def error_of(what: str, status: int, root: Element | None = None, region: str = "") -> Fault:
    """Say what a status, and the error document if there is one, means."""
    code = clean(root.get("Code")) if root is not None else ""
    case = _CODES.get(code) or _STATUSES.get(status)
    region = clean(region or (root.get("Region") if root is not None else ""), "a-z0-9-")
    why = f"the bucket is in region {region}; set `region`" if case is cases.REGION and region else ""
    return fault_of(what, status, code, case, why)
