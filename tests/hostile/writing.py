"""What can be wrong with a write, a list, or a service that has enough."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import formatdate

from packhouse.errors import CommitUncertain, NameConflict
from tests.hostile.behaviour import NAME, Case, always, behaviour
from tests.hostile.server import Behave, Talk, answer


def _lost_after(talk: Talk) -> None:
    for request in talk.requests():
        done = talk.server.well(request)
        if request.writes and talk.server.writes() == 1:
            talk.reset()
            return
        talk.send(done)


@behaviour(_lost_after)
async def an_answer_lost_after_the_effect(case: Case) -> None:
    await case.warm_up()
    info = await case.store.put_if(NAME, b"ours", version=None)
    assert case.server.objects[f"/bucket/{NAME}"][0] == b"ours"
    assert (await case.store.head(NAME)).version == info.version


def _lost_before(talk: Talk) -> None:
    for request in talk.requests():
        if request.writes and talk.server.writes() == 1:
            talk.reset()
            return
        talk.send(talk.server.well(request))


@behaviour(_lost_before)
async def an_answer_lost_before_the_effect(case: Case) -> None:
    await case.warm_up()
    await case.store.put_if(NAME, b"ours", version=None)
    assert case.server.objects[f"/bucket/{NAME}"][0] == b"ours"


def _lost_and_taken(talk: Talk) -> None:
    for request in talk.requests():
        if request.writes and talk.server.writes() == 1:
            with talk.server.lock:
                talk.server.objects[f"/bucket/{NAME}"] = (b"theirs", {})
            talk.reset()
            return
        talk.send(talk.server.well(request))


@behaviour(_lost_and_taken)
async def an_answer_lost_and_the_name_taken_by_another(case: Case) -> None:
    await case.warm_up()
    error = await case.refused(case.store.put_if(NAME, b"ours", version=None), "put-uncertain")
    assert isinstance(error, CommitUncertain)
    assert case.server.objects[f"/bucket/{NAME}"][0] == b"theirs"


def _always_lost(talk: Talk) -> None:
    for request in talk.requests():
        if request.writes:
            talk.server.well(request)
            talk.reset()
            return
        talk.send(talk.server.well(request))


@behaviour(_always_lost)
async def every_answer_lost_although_it_was_done(case: Case) -> None:
    await case.store.put_if(NAME, b"ours", version=None)
    case.server.objects[f"/bucket/{NAME}"] = (b"theirs", {})
    error = await case.refused(case.store.put_if(NAME, b"late", version=None), "object-conflict", "put-uncertain")
    assert isinstance(error, NameConflict | CommitUncertain)


def _tells_nothing(talk: Talk) -> None:
    for request in talk.requests():
        done = talk.server.well(request)
        talk.send(answer(200, etag="", x_goog_generation="") if request.writes else done)


@behaviour(_tells_nothing)
async def a_good_answer_that_cannot_be_read(case: Case) -> None:
    info = await case.store.put_if(NAME, b"ours", version=None)
    assert case.server.objects[f"/bucket/{NAME}"][0] == b"ours"
    assert (await case.store.head(NAME)).version == info.version


def _failed_inside(talk: Talk) -> None:
    for request in talk.requests():
        if "uploadId" in request.query and request.method == "POST":
            talk.send(answer(200, b"   \n<Error><Code>InternalError</Code></Error>"))
        elif "delete" in request.query or "x-amz-copy-source" in request.headers:
            talk.send(answer(200, b"<Error><Code>AccessDenied</Code></Error>"))
        else:
            talk.send(talk.server.well(request))


@behaviour(_failed_inside, "s3")
async def an_error_document_behind_a_200(case: Case) -> None:
    await case.refused(case.store.put(NAME, bytes(9 << 20)), "service-failed")
    assert case.server.parts == {}, "the parts were not removed"
    await case.store.put("source", b"x")
    await case.refused(case.store.copy("source", "target"), "access-denied")
    await case.refused(case.store.delete(["a", "b"]), "access-denied")


def _slow_complete(talk: Talk) -> None:
    for request in talk.requests():
        done = talk.server.well(request)
        if "uploadId" in request.query and request.method == "POST":
            head, _, body = done.partition(b"\r\n\r\n")
            talk.send(head.replace(b"content-length: %d" % len(body), b"transfer-encoding: chunked") + b"\r\n\r\n")
            for piece in (b" ", b"\n", b" ", body):
                talk.server.over.wait(0.05)
                talk.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            talk.send(b"0\r\n\r\n")
        else:
            talk.send(done)


@behaviour(_slow_complete, "s3")
async def white_space_before_the_answer_to_an_upload(case: Case) -> None:
    info = await case.store.put(NAME, bytes(9 << 20))
    assert info.size == 9 << 20
    assert len(case.server.objects[f"/bucket/{NAME}"][0]) == 9 << 20


def _slow_service(talk: Talk) -> None:
    for request in talk.requests():
        done = talk.server.well(request)
        copies = "x-amz-copy-source" in request.headers
        if copies or ("uploadId" in request.query and request.method == "POST"):
            talk.send(b"HTTP/1.1 200 Told\r\ntransfer-encoding: chunked\r\n\r\n")
            for _ in range(6):
                talk.send(b"1\r\n \r\n")
                talk.server.over.wait(0.2)
            body = b"<CopyObjectResult/>" if copies else done.partition(b"\r\n\r\n")[2]
            talk.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        else:
            talk.send(done)


@behaviour(_slow_service, "s3")
async def white_space_for_as_long_as_a_large_object_takes(case: Case) -> None:
    size = 9 << 20  # which may take 1.1 s longer than the 0.7 s of an answer
    await case.store.put(NAME, bytes(size))
    assert sum("uploadId" in request.query for request in case.server.requests if request.method == "POST") == 1
    case.server.objects["/bucket/source"] = (bytes(size), {})
    assert await case.store.copy("source", "target")
    assert sum("x-amz-copy-source" in request.headers for request in case.server.requests) == 1, "it was begun anew"


def _complete_damaged(talk: Talk) -> None:
    for request in talk.requests():
        done = talk.server.well(request)
        if "uploadId" in request.query and request.method == "POST" and b"NoSuchUpload" not in done:
            body, meta = talk.server.objects[request.path]
            talk.server.objects[request.path] = (body[:-1], meta)
            talk.reset()
            return
        talk.send(done)


@behaviour(_complete_damaged, "s3")
async def an_upload_completed_to_another_size_and_not_answered(case: Case) -> None:
    await case.refused(case.store.put(NAME, bytes(9 << 20)), "damaged-in-transit")


def _complete_lost(talk: Talk) -> None:
    for request in talk.requests():
        done = talk.server.well(request)
        if "uploadId" in request.query and request.method == "POST" and b"NoSuchUpload" not in done:
            talk.reset()
            return
        talk.send(done)


@behaviour(_complete_lost, "s3")
async def an_upload_completed_but_not_answered(case: Case) -> None:
    info = await case.store.put(NAME, bytes(9 << 20))
    assert info.size == 9 << 20


def _stalls_everything(talk: Talk) -> None:
    for _ in talk.requests():
        talk.stall()


@behaviour(_stalls_everything)
async def a_conditional_write_that_is_never_answered(case: Case) -> None:
    error = await case.refused(case.store.put_if(NAME, b"ours", version=None), "put-uncertain")
    assert isinstance(error, CommitUncertain), "what became of it is not known"


def _stalls_parts(talk: Talk) -> None:
    for request in talk.requests():
        if "partNumber" in request.query or request.method == "DELETE":
            talk.stall()
            return
        talk.send(talk.server.well(request))


@behaviour(_stalls_parts, "s3")
async def parts_and_their_removal_that_are_never_answered(case: Case) -> None:
    await case.refused(case.store.put(NAME, bytes(9 << 20)), "deadline")


def _one_by_one(talk: Talk) -> None:
    for request in talk.requests():
        talk.server.over.wait(0.3)
        left = b"<Error><Key>%s</Key><Code>InternalError</Code></Error>"
        body = b"".join(left % b"n%d" % number for number in range(20)) if "delete" in request.query else b""
        talk.send(answer(200, b"<DeleteResult>%s</DeleteResult>" % body))


@behaviour(_one_by_one, "s3")
async def many_answers_each_of_which_is_in_time(case: Case) -> None:
    await case.refused(case.store.delete(f"n{number}" for number in range(20)), "deadline")


def _deaf(talk: Talk) -> None:
    if talk.head() is not None:
        talk.stall()


@behaviour(_deaf)
async def a_server_that_reads_nothing(case: Case) -> None:
    await case.refused(case.store.put(NAME, bytes(7 << 20)), "deadline")  # more than the kernel takes off our hands


LAUGHS = b'<!DOCTYPE l [<!ENTITY a "' + b"ha" * 500 + b'">' + b"".join(
    b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 20) for n in range(8)
) + b"]><ListBucketResult><Name>&i;</Name></ListBucketResult>"  # fmt: skip


@behaviour(always(answer(200, LAUGHS)))
async def an_xml_bomb(case: Case) -> None:
    await case.refused(_listed(case), "bad-answer")


@behaviour(always(answer(200, b"<a>" * 2_000_000)))
async def xml_without_a_bottom(case: Case) -> None:
    await case.refused(_listed(case), "bad-answer")


async def _listed(case: Case) -> list[str]:
    return [info.name async for info in case.store.list()]


PAGE = b"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>same</NextContinuationToken>"


@behaviour(always(answer(200, PAGE + b"</ListBucketResult>")), "s3")
async def a_list_that_never_ends(case: Case) -> None:
    await case.refused(_listed(case), "bad-answer")


def _ever_new_tokens(talk: Talk) -> None:
    for _ in talk.requests():
        token = b"%d" % len(talk.server.requests)
        talk.send(
            answer(200, PAGE.replace(b"same", token) + talk.server.told.get("names", b"") + b"</ListBucketResult>")
        )


@behaviour(_ever_new_tokens, "s3")
async def a_list_of_ever_new_pages_without_a_name(case: Case) -> None:
    await case.refused(_listed(case), "deadline")


@behaviour(_ever_new_tokens, "s3")
async def a_list_of_ever_more_names(case: Case) -> None:
    entry = b"<Contents><Key>%d</Key><Size>1</Size><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>"
    case.server.told["names"] = b"".join(entry % number for number in range(1000))
    type(case.store).most_listed, most = 20_000, case.store.most_listed
    try:
        await case.refused(_listed(case), "bad-answer")
    finally:
        type(case.store).most_listed = most


ENTRY = b"<ListBucketResult><Contents><Key>%s</Key><Size>1</Size><LastModified>2026-01-01T00:00:00Z</LastModified>"


@behaviour(always(answer(200, ENTRY % b"../../etc/passwd" + b"</Contents></ListBucketResult>")), "s3")
async def a_list_of_names_that_were_never_ours(case: Case) -> None:
    assert await _listed(case) == []


DELETED = b"<DeleteResult><Error><Key>another</Key><Code>AccessDenied</Code></Error></DeleteResult>"


@behaviour(always(answer(200, DELETED)), "s3")
async def an_answer_about_another_object(case: Case) -> None:
    await case.refused(case.store.delete(["a", "b"]), "bad-answer")


def _busy(talk: Talk) -> None:
    for request in talk.requests():
        if len(talk.server.requests) <= 2:
            talk.send(answer(503, b"<Error><Code>SlowDown</Code></Error>", retry_after="0"))
        else:
            talk.send(talk.server.well(request))


def _resting(told: Callable[[], str]) -> Behave:
    def serve(talk: Talk) -> None:
        for request in talk.requests():
            if talk.server.told.setdefault("began", now := time.monotonic()) == now:
                talk.send(answer(503, b"<Error><Code>SlowDown</Code></Error>", retry_after=told()))
            else:
                talk.server.told.setdefault("rested", time.monotonic() - talk.server.told["began"])
                talk.send(talk.server.well(request))

    return serve


@behaviour(_resting(lambda: "1"))
async def seconds_that_the_service_wants_to_rest(case: Case) -> None:
    await case.store.put(NAME, b"in the end")
    assert case.server.told["rested"] >= 0.95


@behaviour(_resting(lambda: formatdate(time.time() + 1.9, usegmt=True)))  # cut to whole seconds
async def a_time_until_which_the_service_wants_to_rest(case: Case) -> None:
    await case.store.put(NAME, b"in the end")
    assert case.server.told["rested"] >= 0.8


@behaviour(_busy)
async def throttling(case: Case) -> None:
    gate = case.client.gate
    before = gate.allowed
    case.client.budget.left = 0  # for outages: who is told to wait waits until the deadline
    await case.store.put(NAME, b"in the end")
    low = gate.allowed
    assert low < before, "as much is sent as before"
    for _ in range(before * 2):
        await case.store.head(NAME)
    assert gate.allowed > low, "it does not recover"


@behaviour(always(answer(200, x_ms_copy_status="pending")), "az")
async def a_copy_that_never_ends(case: Case) -> None:
    await case.refused(case.store.copy("a", "b"), "deadline")


def _one_more_step(talk: Talk) -> None:
    for _ in talk.requests():
        told = b'{"done": false, "rewriteToken": "%d", "objectSize": "1"}' % len(talk.server.requests)
        talk.send(answer(200, told))


@behaviour(_one_more_step, "gs")
async def a_copy_of_ever_more_steps(case: Case) -> None:
    await case.refused(case.store.copy("a", "b"), "deadline")


@behaviour(always(answer(503, b"", retry_after="3600")))
async def a_retry_after_beyond_the_deadline(case: Case) -> None:
    await case.refused(case.read(), "deadline")
    assert len(case.server.requests) == 1, "it was not left alone"


@behaviour(always(answer(500, b"<Error><Code>InternalError</Code></Error>")))
async def an_outage(case: Case) -> None:
    budget = case.client.budget
    budget.left = 5
    for _ in range(10):
        await case.refused(case.read(), "service-failed")
    assert len(case.server.requests) <= 15, "an outage multiplies the load"


@behaviour(always(answer(404, b"<Error><Code>NoSuchKey</Code><Message>\x1b[31m&lt;script></Message></Error>")))
async def a_message_that_is_not_repeated(case: Case) -> None:
    error = await case.refused(case.read(), "object-not-found")
    assert "script" not in str(error)
