"""What a hostile or broken server does, and what must come of it: no wrong bytes, no secret sent away, an end in time.

Each behaviour is a server's half and a client's half, which raises `AssertionError` when a promise is broken.
"""

from __future__ import annotations

import gzip
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import anyio

from packhouse.errors import CommitUncertain, InvalidInput, NameConflict, NameNotFound, PackhouseError
from packhouse.objects.s3 import S3Objects
from tests.hostile.server import Behave, Hostile, Talk, answer

__all__ = ["BEHAVIOURS", "Behaviour", "Case"]

BODY = bytes(range(256)) * 40
NAME = "object"


@dataclass
class Case:
    """A running server and a store that talks to it."""

    server: Hostile
    store: S3Objects
    own: bool
    """Whether our own transport carries it."""

    async def refused(self, doing: Awaitable[object], *kinds: str) -> PackhouseError:
        """Await it; it must fail with one of the kinds."""
        try:
            found = await doing
        except PackhouseError as error:
            if error.kind in kinds:
                return error
            raise AssertionError(f"{error.kind} ({error}), not {kinds}") from error
        raise AssertionError(f"{found!r} was believed")

    async def warm_up(self) -> None:
        """Leave a connection that will be used again."""
        with suppress(NameNotFound):
            await self.store.get("missing")

    async def read(self) -> bytes:
        """Read the object whole."""
        return bytes((await self.store.get(NAME)).data)

    async def read_range(self) -> bytes:
        """Read a range of it."""
        return bytes((await self.store.get(NAME, start=100, length=200)).data)


@dataclass(frozen=True)
class Behaviour:
    """One of them."""

    name: str
    serve: Behave
    check: Callable[[Case], Awaitable[None]]


BEHAVIOURS: list[Behaviour] = []


def behaviour(serve: Behave) -> Callable[[Callable[[Case], Awaitable[None]]], Callable[[Case], Awaitable[None]]]:
    """Add the check's behaviour to the list; the check's name is the behaviour's."""

    def add(check: Callable[[Case], Awaitable[None]]) -> Callable[[Case], Awaitable[None]]:
        BEHAVIOURS.append(Behaviour(check.__name__, serve, check))
        return check

    return add


def always(data: bytes, *, then_close: bool = False) -> Behave:
    """Answer everything with the same bytes."""

    def serve(talk: Talk) -> None:
        for _ in talk.requests():
            talk.send(data)
            if then_close:
                return

    return serve


LOST = ("bad-answer", "connection-lost", "deadline")


@behaviour(always(answer(200, BODY)[:-1], then_close=True))
async def a_body_cut_short(case: Case) -> None:
    await case.refused(case.read(), *LOST)


def _cut_anywhere(talk: Talk) -> None:
    whole = answer(200, b"0123456789", date="", etag="")
    for _ in talk.requests():
        talk.send(whole[: talk.number % len(whole)])
        return


@behaviour(_cut_anywhere)
async def an_answer_cut_at_any_byte(case: Case) -> None:
    for _ in range(22):
        await case.refused(case.read(), *LOST)


def _drip(talk: Talk) -> None:
    for _ in talk.requests():
        talk.drip(answer(200, BODY))


@behaviour(_drip)
async def a_drip_of_single_bytes(case: Case) -> None:
    await case.refused(case.read(), *LOST)


def _drip_body(talk: Talk) -> None:
    for _ in talk.requests():
        talk.send(answer(200, BODY)[:-9000])
        talk.drip(BODY)


@behaviour(_drip_body)
async def a_body_that_drips(case: Case) -> None:
    await case.refused(case.read(), *LOST)


def _silent(talk: Talk) -> None:
    for _ in talk.requests():
        talk.stall()


@behaviour(_silent)
async def silence(case: Case) -> None:
    await case.refused(case.read(), "deadline")


@behaviour(always(answer(200, BODY, content_length="", connection="close"), then_close=True))
async def a_body_without_a_length(case: Case) -> None:
    await case.refused(case.read(), "bad-answer")


def _surplus(talk: Talk) -> None:
    for request in talk.requests():
        planted = answer(200, b"planted")
        talk.send(answer(200, request.path.encode()) + (planted if request.path.endswith("first") else b""))


@behaviour(_surplus)
async def surplus_bytes_that_look_like_the_next_answer(case: Case) -> None:
    for name in ("first", "second", "first", "third"):
        got = bytes((await case.store.get(name)).data)
        assert got.endswith(name.encode()), f"{name} was answered with {got!r}"


def _surplus_later(talk: Talk) -> None:
    for request in talk.requests():
        talk.send(answer(200, request.path.encode()))
        if request.path.endswith("first"):
            talk.server.over.wait(0.1)
            talk.send(answer(200, b"planted"))


@behaviour(_surplus_later)
async def an_answer_to_nothing_on_an_idle_connection(case: Case) -> None:
    for name in ("first", "second", "first", "third"):
        got = bytes((await case.store.get(name)).data)
        assert got.endswith(name.encode()), f"{name} was answered with {got!r}"
        await anyio.sleep(0.2)


@behaviour(always(answer(206, BODY[100:300], content_range=f"bytes 101-300/{len(BODY)}")))
async def another_range_than_asked_for(case: Case) -> None:
    await case.refused(case.read_range(), "bad-answer")


@behaviour(always(answer(206, BODY[100:300])))
async def a_range_that_does_not_say_of_what(case: Case) -> None:
    await case.refused(case.read_range(), "bad-answer")


@behaviour(always(answer(200, BODY)))
async def a_server_that_ignores_ranges(case: Case) -> None:
    await case.refused(case.read_range(), "bad-answer")


@behaviour(always(answer(206, BODY[100:250], content_range="bytes 100-249/250")))
async def a_range_that_is_cut_silently(case: Case) -> None:
    assert isinstance(await case.refused(case.read_range(), "object-range"), InvalidInput)


@behaviour(always(answer(206, BODY[100:301], content_range=f"bytes 100-299/{len(BODY)}")))
async def a_longer_body_than_the_range(case: Case) -> None:
    await case.refused(case.read_range(), "bad-answer")


BOMB = gzip.compress(bytes(64 << 20))


@behaviour(always(answer(200, BOMB, content_encoding="gzip")))
async def a_decompression_bomb(case: Case) -> None:
    await case.refused(case.read(), "bad-answer")


def _endless_chunks(talk: Talk) -> None:
    for _ in talk.requests():
        talk.send(answer(200, content_length="", transfer_encoding="chunked"))
        while not talk.server.over.is_set():
            talk.send(b"100000\r\n" + bytes(1 << 20) + b"\r\n")


@behaviour(_endless_chunks)
async def chunks_without_an_end(case: Case) -> None:
    await case.refused(case.read_range(), "bad-answer")
    await case.refused(case.store.head(NAME), "bad-answer", "deadline", "connection-lost")


def _cut_chunks(talk: Talk) -> None:
    for _ in talk.requests():
        talk.send(answer(200, content_length="", transfer_encoding="chunked") + b"5\r\nshort\r\n")
        return


@behaviour(_cut_chunks)
async def chunks_that_are_cut(case: Case) -> None:
    await case.refused(case.read(), *LOST)


def _giant_head(talk: Talk) -> None:
    for _ in talk.requests():
        talk.send(b"HTTP/1.1 200 OK\r\n")
        for number in range(100_000):
            talk.send(b"x-%d: %s\r\n" % (number, b"y" * 1000))


@behaviour(_giant_head)
async def a_giant_head(case: Case) -> None:
    await case.refused(case.read(), *LOST)


def _interim(talk: Talk) -> None:
    for _ in talk.requests():
        talk.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 5000)
        talk.stall()


@behaviour(_interim)
async def interim_answers_without_an_end(case: Case) -> None:
    await case.refused(case.read(), *LOST)


@behaviour(always(answer(200, b"", content_length=str(1 << 40))))
async def a_length_of_a_terabyte(case: Case) -> None:
    await case.refused(case.read(), "bad-answer")


@behaviour(always(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef"))
async def two_lengths(case: Case) -> None:
    await case.refused(case.read(), *LOST)


@behaviour(always(b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n"))
async def something_that_is_not_http(case: Case) -> None:
    await case.refused(case.read(), *LOST)


def _elsewhere(talk: Talk) -> None:
    for request in talk.requests():
        if request.path.startswith("/stolen"):
            talk.send(answer(200))
        else:
            host = f"http://localhost:{talk.server.port}/stolen"  # another host, as far as a client can tell
            talk.send(answer(302 if request.method == "PUT" else 307, location=host))


@behaviour(_elsewhere)
async def a_redirect_to_another_host(case: Case) -> None:
    await case.refused(case.read(), "redirected", "wrong-region")
    await case.refused(case.store.put(NAME, b"body"), "redirected", "wrong-region")
    assert not any(request.path.startswith("/stolen") for request in case.server.requests), "it was followed"


DENIED = answer(403, b"<Error><Code>AccessDenied</Code></Error>", connection="close")


def _early(talk: Talk) -> None:
    while talk.head() is not None:
        talk.send(DENIED)
        return  # with most of the body unread: the kernel sends a reset behind the answer


@behaviour(_early)
async def an_early_refusal_while_the_body_is_sent(case: Case) -> None:
    body = bytes(7 << 20)
    await case.refused(case.store.put(NAME, body), *(("access-denied",) if case.own else ("access-denied", *LOST)))


def _early_and_deaf(talk: Talk) -> None:
    if talk.head() is not None:
        talk.send(DENIED)
        talk.stall()


@behaviour(_early_and_deaf)
async def an_early_refusal_on_a_connection_that_stays(case: Case) -> None:
    kinds = ("access-denied",) if case.own else ("access-denied", *LOST)
    await case.refused(case.store.put(NAME, bytes(7 << 20)), *kinds)


def _hang_up(talk: Talk) -> None:
    for request in talk.requests():
        talk.send(talk.server.well(request))
        if talk.number % 2:
            talk.request()  # takes the next one, and leaves without a word
            return


@behaviour(_hang_up)
async def a_hang_up_on_a_reused_connection(case: Case) -> None:
    for number in range(6):
        await case.store.put(f"n{number}", b"body")
        assert bytes((await case.store.get(f"n{number}")).data) == b"body"


def _reset_once(talk: Talk) -> None:
    for request in talk.requests():
        if talk.number <= 1:
            talk.send(answer(200, BODY)[:2000])
            talk.reset()
            return
        talk.send(talk.server.well(request))


@behaviour(_reset_once)
async def a_reset_in_the_middle_of_a_body(case: Case) -> None:
    case.server.objects[f"/bucket/{NAME}"] = (BODY, {})
    assert await case.read() == BODY


def _lost_after(talk: Talk) -> None:
    for request in talk.requests():
        done = talk.server.well(request)
        if request.method == "PUT" and talk.server.count("PUT") == 1:
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
        if request.method == "PUT" and talk.server.count("PUT") == 1:
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
        if request.method == "PUT" and talk.server.count("PUT") == 1:
            with talk.server.lock:
                talk.server.objects[request.path] = (b"theirs", {})
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
        if request.method == "PUT":
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


def _failed_inside(talk: Talk) -> None:
    for request in talk.requests():
        if "uploadId" in request.query and request.method == "POST":
            talk.send(answer(200, b"   \n<Error><Code>InternalError</Code></Error>"))
        elif "delete" in request.query or "x-amz-copy-source" in request.headers:
            talk.send(answer(200, b"<Error><Code>AccessDenied</Code></Error>"))
        else:
            talk.send(talk.server.well(request))


@behaviour(_failed_inside)
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


@behaviour(_slow_complete)
async def white_space_before_the_answer_to_an_upload(case: Case) -> None:
    info = await case.store.put(NAME, bytes(9 << 20))
    assert info.size == 9 << 20
    assert len(case.server.objects[f"/bucket/{NAME}"][0]) == 9 << 20


def _complete_lost(talk: Talk) -> None:
    for request in talk.requests():
        done = talk.server.well(request)
        if "uploadId" in request.query and request.method == "POST" and b"NoSuchUpload" not in done:
            talk.reset()
            return
        talk.send(done)


@behaviour(_complete_lost)
async def an_upload_completed_but_not_answered(case: Case) -> None:
    info = await case.store.put(NAME, bytes(9 << 20))
    assert info.size == 9 << 20


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


@behaviour(always(answer(200, PAGE + b"</ListBucketResult>")))
async def a_list_that_never_ends(case: Case) -> None:
    await case.refused(_listed(case), "bad-answer")


ENTRY = b"<ListBucketResult><Contents><Key>%s</Key><Size>1</Size><LastModified>2026-01-01T00:00:00Z</LastModified>"


@behaviour(always(answer(200, ENTRY % b"../../etc/passwd" + b"</Contents></ListBucketResult>")))
async def a_list_of_names_that_were_never_ours(case: Case) -> None:
    assert await _listed(case) == []


DELETED = b"<DeleteResult><Error><Key>another</Key><Code>AccessDenied</Code></Error></DeleteResult>"


@behaviour(always(answer(200, DELETED)))
async def an_answer_about_another_object(case: Case) -> None:
    await case.refused(case.store.delete(["a", "b"]), "bad-answer")


def _busy(talk: Talk) -> None:
    for request in talk.requests():
        if len(talk.server.requests) <= 2:
            talk.send(answer(503, b"<Error><Code>SlowDown</Code></Error>", retry_after="0"))
        else:
            talk.send(talk.server.well(request))


@behaviour(_busy)
async def throttling(case: Case) -> None:
    gate = case.store.requests.client.gate
    before = gate.allowed
    await case.store.put(NAME, b"in the end")
    assert gate.allowed < before, "as much is sent as before"
    for _ in range(before * 2):
        await case.store.head(NAME)
    assert gate.allowed > before * 2 / 3, "it does not recover"


@behaviour(always(answer(503, b"", retry_after="3600")))
async def a_retry_after_beyond_the_deadline(case: Case) -> None:
    await case.refused(case.read(), "deadline", "throttled")


@behaviour(always(answer(500, b"<Error><Code>InternalError</Code></Error>")))
async def an_outage(case: Case) -> None:
    budget = case.store.requests.client.budget
    budget.left = 5
    for _ in range(10):
        await case.refused(case.read(), "service-failed")
    assert len(case.server.requests) <= 15, "an outage multiplies the load"


@behaviour(always(answer(404, b"<Error><Code>NoSuchKey</Code><Message>\x1b[31m&lt;script></Message></Error>")))
async def a_message_that_is_not_repeated(case: Case) -> None:
    error = await case.refused(case.read(), "object-not-found")
    assert "script" not in str(error)
