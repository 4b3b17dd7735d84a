"""What Google Cloud Storage refuses: JSON with a reason, or nothing but a status."""

from __future__ import annotations

from typing import Any

import orjson

from packhouse.objects.bucket import refusals as cases
from packhouse.objects.bucket.refusals import STATUSES, clean, fault_of
from packhouse.objects.http.calls import Call, Fault, Judge, Reply

__all__ = ["judge_for"]

_REASONS = {
    **dict.fromkeys(("rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded", "slowDown"), cases.BUSY),
    **dict.fromkeys(("authError", "expired", "invalidCredentials"), cases.KEYS),
    **dict.fromkeys(("backendError", "internalError"), cases.FAILED),
    "conditionNotMet": cases.CONFLICT,
    "requestedRangeNotSatisfiable": cases.RANGE,
    "uploadTooLarge": cases.LARGE,
    "notImplemented": cases.LACKING,
}
_STATUSES = STATUSES | {410: cases.FAILED}
_RESUME = 308
_CANCELLED = 499


def judge_for(call: Call) -> Judge:
    """Return the judge of a call's replies."""

    def judge(reply: Reply) -> Fault | None:
        status = reply.status
        if status in (200, 201, 204, 206):
            return None
        if status == _RESUME and "content-range" in call.headers:
            return None  # an upload that is not at its end
        if status == _CANCELLED and call.method == "DELETE":
            return None  # what was to be: the upload is cancelled
        reason = _reason(reply)
        case = _REASONS.get(reason) or _STATUSES.get(status)
        if status == 401:
            case = cases.KEYS
        if status == 404 and "/o/" not in call.url:
            case = cases.BUCKET  # nothing but the bucket was asked for
        if status == 400 and _is_about_hash(reply):
            case = cases.DAMAGED
        return fault_of(call.what, status, reason, case)

    return judge


def _error(reply: Reply) -> dict[str, Any]:
    try:
        found = orjson.loads(reply.body)["error"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def _reason(reply: Reply) -> str:
    try:
        return clean(str(_error(reply)["errors"][0]["reason"]))
    except (KeyError, IndexError, TypeError):
        return ""


def _is_about_hash(reply: Reply) -> bool:
    """Say whether a refusal is about a checksum: `invalid` is all that its reason says, its text names the digest."""
    text = str(_error(reply).get("message", ""))[:500].lower()
    return any(digest in text for digest in ("crc32c", "md5")) and ("match" in text or "hash" in text)
