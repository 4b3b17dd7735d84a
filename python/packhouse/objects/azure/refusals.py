"""What Azure refuses: every answer names its code in a header, those to HEAD, too."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

from packhouse.objects.bucket import refusals as cases
from packhouse.objects.bucket.refusals import STATUSES, clean, fault_of
from packhouse.objects.bucket.xml import parse
from packhouse.objects.http.calls import Call, Fault, Judge, Reply

__all__ = ["judge_for"]

_SKEW_SECONDS = 15 * 60
_CODES = {
    **dict.fromkeys(
        ("AuthorizationFailure", "AuthorizationPermissionMismatch", "AuthorizationProtocolMismatch",
         "AuthorizationResourceTypeMismatch", "AuthorizationServiceMismatch", "AuthorizationSourceIPMismatch",
         "InsufficientAccountPermissions", "AccountIsDisabled", "PublicAccessNotPermitted", "LeaseIdMissing",
         "BlobImmutableDueToPolicy", "KeyBasedAuthenticationNotPermitted"), cases.DENIED,
    ),
    **dict.fromkeys(
        ("AuthenticationFailed", "InvalidAuthenticationInfo", "NoAuthenticationInformation",
         "InvalidAuthorizationHeader"), cases.KEYS,
    ),
    **dict.fromkeys(("ContainerNotFound", "ContainerBeingDeleted", "ContainerDisabled"), cases.BUCKET),
    **dict.fromkeys(("BlobNotFound", "ResourceNotFound"), cases.MISSING),
    **dict.fromkeys(("BlobAlreadyExists", "ConditionNotMet", "TargetConditionNotMet"), cases.CONFLICT),
    **dict.fromkeys(("ServerBusy", "IngressExceedsAccountLimit", "EgressExceedsAccountLimit",
                     "OperationsPerSecondExceedsAccountLimit", "TooManyRequests"), cases.FULL),
    **dict.fromkeys(("InternalError", "OperationTimedOut"), cases.FAILED),
    **dict.fromkeys(("Md5Mismatch", "Crc64Mismatch", "InvalidMd5", "InvalidCrc64"), cases.DAMAGED),
    "InvalidRange": cases.RANGE,
    "RequestBodyTooLarge": cases.LARGE,
    "BlobArchived": cases.ARCHIVED,
    "BlobBeingRehydrated": cases.ARCHIVED,
    "FeatureNotSupported": cases.LACKING,
}  # fmt: skip


def judge_for(call: Call) -> Judge:
    """Return the judge of a call's replies."""

    def judge(reply: Reply) -> Fault | None:
        if reply.status in (200, 201, 202, 204, 206):
            return None
        code = clean(reply.headers.get("x-ms-error-code", "")) or _code_in(reply)
        case = _CODES.get(code) or STATUSES.get(reply.status)
        if case is cases.KEYS and _skewed(reply):
            case = cases.SKEW
        return fault_of(call.what, reply.status, code, case)

    return judge


def _code_in(reply: Reply) -> str:
    """Return the code that the body names: proxies drop headers."""
    try:
        return clean(parse(reply.body, "read a refusal").get("Code"))
    except OSError:
        return ""


def _skewed(reply: Reply) -> bool:
    """Say whether our clock is why a signature is refused: the service says no more than that it is."""
    try:
        there = parsedate_to_datetime(reply.headers["date"]).timestamp()
    except (KeyError, ValueError, OverflowError):
        return False
    return abs(there - time.time()) > _SKEW_SECONDS
