"""What can be wrong with an answer, and with the way there."""

from __future__ import annotations

import gzip

import anyio

from packhouse.errors import InvalidInput
from packhouse.objects.contract import ObjectInfo
from tests.hostile.behaviour import BODY, LOST, NAME, Case, always, behaviour
from tests.hostile.server import Talk, answer


@behaviour(always(answer(200, BODY)[:-1], then_close=True))
async def a_body_cut_short(case: Case) -> None:
    await case.refused(case.read(), *LOST)


WHOLE = answer(200, b"0123456789", date="", etag="")


def _cut_anywhere(talk: Talk) -> None:
    for _ in talk.requests():
        cut = talk.number % len(WHOLE)
        with talk.server.lock:
            talk.server.told.setdefault("cuts", set()).add(cut)
        talk.send(WHOLE[:cut])
        return


@behaviour(_cut_anywhere)
async def an_answer_cut_at_any_byte(case: Case) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(25):  # three tries each
            tasks.start_soon(case.refused, case.read(), *LOST)
    assert case.server.told["cuts"] == set(range(len(WHOLE)))


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


NEVER = "Mon, 01 Jan 99999999999 00:00:00 GMT"


@behaviour(always(answer(200, BODY, date=NEVER, last_modified=NEVER)))
async def a_date_beyond_all_time(case: Case) -> None:
    assert await case.read() == BODY


_ENTRY = "<Contents><Key>{}</Key><Size>{}</Size><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>"


def _list_of(key: str, size: str) -> bytes:
    said = f"<EncodingType>url</EncodingType>{_ENTRY.format(key, size)}"
    return answer(200, f"<ListBucketResult>{said}</ListBucketResult>".encode())


@behaviour(always(_list_of("a", "-5")), "s3")
async def a_size_below_nothing(case: Case) -> None:
    async def names() -> list[str]:
        return [info.name async for info in case.store.list()]

    await case.refused(names(), "bad-answer")


@behaviour(always(_list_of("documents/a+", "5")), "s3")
async def a_plus_that_stands_for_itself(case: Case) -> None:
    assert [info.name async for info in case.store.list("documents/")] == ["documents/a+"]


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


def _compressing(talk: Talk) -> None:
    for request in talk.requests():
        if "gzip" in request.headers.get("accept-encoding", "gzip"):  # who says nothing takes anything
            talk.send(answer(200, gzip.compress(BODY), content_encoding="gzip"))
        else:
            talk.send(talk.server.well(request))


@behaviour(_compressing)
async def a_server_that_compresses_unless_told_not_to(case: Case) -> None:
    await case.store.put(NAME, BODY)
    assert await case.read() == BODY
    assert await case.read_range() == BODY[100:300]
    assert {request.headers.get("accept-encoding") for request in case.server.requests} == {"identity"}


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
    # Ours counts them; others read on until the deadline.
    await case.refused(case.read(), *(("bad-answer",) if case.own else LOST))


@behaviour(always(answer(200, b"", content_length=str(1 << 40))))
async def a_length_of_a_terabyte(case: Case) -> None:
    async def list_all() -> list[ObjectInfo]:
        return [info async for info in case.store.list()]

    await case.refused(case.read(), "object-large")  # as true as it may be: who wants so much names its length
    assert len(case.server.requests) == 1
    await case.refused(case.read_range(), "bad-answer")
    await case.refused(list_all(), "bad-answer")


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
    # Stock httpx does not read while it sends: on asyncio the reset takes the answer with it (docs/decisions/010).
    kinds = ("access-denied",) if case.own else ("access-denied", "connection-lost")
    await case.refused(case.store.put(NAME, bytes(7 << 20)), *kinds)
    assert len(case.server.requests) == 1 or not case.own, "a refusal was tried again"


def _early_and_deaf(talk: Talk) -> None:
    if talk.head() is not None:
        talk.send(DENIED)
        talk.stall()


@behaviour(_early_and_deaf)
async def an_early_refusal_on_a_connection_that_stays(case: Case) -> None:
    kinds = ("access-denied",) if case.own else ("deadline",)
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
