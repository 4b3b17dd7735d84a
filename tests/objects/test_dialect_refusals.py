"""What Google and Azure refuse, by their documentation, in our words: the emulators say less of it."""

from __future__ import annotations

import time
from email.utils import formatdate

import orjson
import pytest

from packhouse import errors
from packhouse.objects.azure.refusals import judge_for as judge_azure
from packhouse.objects.gcs.refusals import judge_for as judge_google
from packhouse.objects.http import Call, Fault, Reply

OBJECT = "https://storage.example/storage/v1/b/bucket/o/name"
BUCKET = "https://storage.example/storage/v1/b/bucket/o?prefix=x"
PLANTED = "planted-text"


def google(status: int, reason: str, message: str = PLANTED, url: str = OBJECT) -> Fault:
    body = orjson.dumps({"error": {"code": status, "message": message, "errors": [{"reason": reason}]}})
    fault = judge_google(Call(method="GET", url=url, what="read it"))(Reply(status, {}, memoryview(body)))
    assert fault is not None
    return fault


def azure(status: int, code: str, *, date: float | None = None, in_body: bool = False) -> Fault:
    headers = {"date": formatdate(date, usegmt=True)} | ({} if in_body else {"x-ms-error-code": code})
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{PLANTED}</Message></Error>".encode()
    call = Call(method="GET", url="https://account.example/c/b", what="read it")
    fault = judge_azure(call)(Reply(status, headers, memoryview(body if in_body else b"")))
    assert fault is not None
    return fault


def check(fault: Fault, kind: str, again: str) -> None:
    assert fault.error.kind == kind, str(fault.error)
    assert isinstance(fault.error, errors.KINDS[kind].error)
    assert (fault.again, fault.throttled) == (again != "", again == "throttled")
    assert PLANTED not in str(fault.error)


@pytest.mark.parametrize(
    ("status", "reason", "kind", "again"),
    [
        (401, "authError", "bad-credentials", ""),
        (401, "required", "bad-credentials", ""),
        (403, "forbidden", "access-denied", ""),
        (403, "insufficientPermissions", "access-denied", ""),
        (403, "rateLimitExceeded", "throttled", "throttled"),
        (429, "rateLimitExceeded", "throttled", "throttled"),
        (404, "notFound", "object-not-found", ""),
        (408, "", "connection-lost", "again"),
        (410, "", "service-failed", "again"),
        (412, "conditionNotMet", "object-conflict", ""),
        (413, "uploadTooLarge", "too-large", ""),
        (416, "requestedRangeNotSatisfiable", "object-range", ""),
        (500, "backendError", "service-failed", "again"),
        (502, "", "service-failed", "again"),
        (503, "backendError", "service-failed", "again"),
        (503, "", "throttled", "throttled"),
        (400, "invalid", "refused", ""),
        (302, "", "redirected", ""),
        (308, "", "redirected", ""),
    ],
)
def test_what_google_refuses(status: int, reason: str, kind: str, again: str) -> None:
    check(google(status, reason), kind, again)


def test_what_google_says_of_a_bucket_and_of_a_checksum() -> None:
    check(google(404, "notFound", url=BUCKET), "no-bucket", "")
    check(google(400, "invalid", "Provided CRC32C doesn't match calculated CRC32C"), "damaged-in-transit", "again")
    check(google(400, "invalid", "Provided MD5 hash doesn't match calculated MD5 hash"), "damaged-in-transit", "again")


@pytest.mark.parametrize(
    ("status", "code", "kind", "again"),
    [
        (400, "InvalidAuthenticationInfo", "bad-credentials", ""),
        (403, "AuthenticationFailed", "bad-credentials", ""),
        (403, "AuthorizationFailure", "access-denied", ""),
        (403, "AuthorizationPermissionMismatch", "access-denied", ""),
        (409, "PublicAccessNotPermitted", "access-denied", ""),
        (412, "LeaseIdMissing", "access-denied", ""),
        (404, "ContainerNotFound", "no-bucket", ""),
        (409, "ContainerBeingDeleted", "no-bucket", ""),
        (404, "BlobNotFound", "object-not-found", ""),
        (409, "BlobAlreadyExists", "object-conflict", ""),
        (412, "ConditionNotMet", "object-conflict", ""),
        (400, "Md5Mismatch", "damaged-in-transit", "again"),
        (416, "InvalidRange", "object-range", ""),
        (413, "RequestBodyTooLarge", "too-large", ""),
        (409, "BlobArchived", "archived", ""),
        (500, "InternalError", "service-failed", "again"),
        (500, "OperationTimedOut", "service-failed", "again"),
        (503, "ServerBusy", "throttled", "throttled"),
        (429, "", "throttled", "throttled"),
        (400, "InvalidBlockList", "refused", ""),
        (307, "", "redirected", ""),
    ],
)
@pytest.mark.parametrize("in_body", [False, True])
def test_what_azure_refuses(status: int, code: str, kind: str, again: str, in_body: bool) -> None:
    check(azure(status, code, in_body=in_body), kind, again)


def test_a_wrong_clock_is_told_from_a_wrong_key() -> None:
    check(azure(403, "AuthenticationFailed", date=time.time() - 3600), "clock-skew", "")
    check(azure(403, "AuthorizationFailure", date=time.time() - 3600), "access-denied", "")
