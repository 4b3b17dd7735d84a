"""What can be wrong in the dialects of Google and of Azure alone."""

from __future__ import annotations

import secrets
import time

import orjson

from packhouse.errors import NameNotFound
from tests.hostile import google, microsoft
from tests.hostile.behaviour import BODY, LOST, NAME, Case, always, behaviour
from tests.hostile.server import Talk, answer

PARTS = secrets.token_bytes(20 << 20)


def _kept(case: Case) -> bytes:
    return case.server.objects[f"/bucket/{NAME}"][0]


# Google: resumable uploads


def _part_lost_after(talk: Talk) -> None:
    for request in talk.requests():
        done = talk.server.well(request)
        if request.body and "content-range" in request.headers and not talk.server.told.setdefault("lost", 0):
            talk.server.told["lost"] = 1
            talk.reset()
            return
        talk.send(done)


@behaviour(_part_lost_after, "gs")
async def a_part_kept_but_not_answered(case: Case) -> None:
    info = await case.store.put(NAME, PARTS)
    assert (info.size, _kept(case)) == (len(PARTS), PARTS)
    asked = [
        request for request in case.server.requests if request.headers.get("content-range", "").startswith("bytes */")
    ]
    assert asked, "it did not ask how far it got"
    sent = sum(len(request.body) for request in case.server.requests if "content-range" in request.headers)
    assert sent == len(PARTS), "what had arrived was sent again"


def _part_kept_in_part(talk: Talk) -> None:
    for request in talk.requests():
        told = request.headers.get("content-range", "")
        if request.body and told.startswith("bytes 0-"):
            talk.server.parts[0] = request.body[: 3 * google.GRAIN]
            talk.send(answer(308, range=f"bytes=0-{3 * google.GRAIN - 1}"))
        else:
            talk.send(talk.server.well(request))


@behaviour(_part_kept_in_part, "gs")
async def a_part_of_which_some_is_kept(case: Case) -> None:
    await case.store.put(NAME, PARTS)
    assert _kept(case) == PARTS


def _end_lost(talk: Talk) -> None:
    for request in talk.requests():
        done = talk.server.well(request)
        if "x-goog-hash" in request.headers and not talk.server.told.setdefault("lost", 0):
            talk.server.told["lost"] = 1
            talk.reset()
            return
        talk.send(done)


@behaviour(_end_lost, "gs")
async def the_end_of_an_upload_that_was_not_answered(case: Case) -> None:
    info = await case.store.put(NAME, PARTS)
    assert _kept(case) == PARTS
    assert info.version == google.generation(PARTS)


def _end_always_lost(talk: Talk) -> None:
    for request in talk.requests():
        done = talk.server.well(request)
        if request.headers.get("content-range", "").endswith(f"/{len(PARTS)}"):
            talk.reset()
            return
        talk.send(done)


@behaviour(_end_always_lost, "gs")
async def an_upload_whose_end_is_never_answered_is_looked_for(case: Case) -> None:
    info = await case.store.put(NAME, PARTS)
    assert (info.size, _kept(case)) == (len(PARTS), PARTS)


def _stuck(talk: Talk) -> None:
    for request in talk.requests():
        if request.body and "content-range" in request.headers:
            talk.send(answer(308))
        else:
            talk.send(talk.server.well(request))


@behaviour(_stuck, "gs")
async def an_upload_that_never_gets_further(case: Case) -> None:
    await case.refused(case.store.put(NAME, PARTS), "bad-answer")
    assert case.server.objects == {}
    assert case.server.requests[-1].method == "DELETE", "the upload was not ended"


def _forgotten(talk: Talk) -> None:
    for request in talk.requests():
        if "content-range" in request.headers:
            talk.send(google.refuse(404, "notFound"))
        else:
            talk.send(talk.server.well(request))


@behaviour(_forgotten, "gs")
async def an_upload_that_was_forgotten(case: Case) -> None:
    await case.refused(case.store.put(NAME, PARTS), "service-failed")


def _elsewhere(talk: Talk) -> None:
    for request in talk.requests():
        if request.path.startswith("/stolen"):
            talk.send(answer(200))
        else:
            talk.send(answer(200, location=f"http://localhost:{talk.server.port}/stolen"))


@behaviour(_elsewhere, "gs")
async def an_upload_sent_to_another_host(case: Case) -> None:
    await case.refused(case.store.put(NAME, PARTS), "bad-answer")
    assert not any(request.path.startswith("/stolen") for request in case.server.requests)


def _end_damaged(talk: Talk) -> None:
    for request in talk.requests():
        done = talk.server.well(request)
        if request.headers.get("content-range", "").endswith(f"/{len(PARTS)}"):
            _, meta = talk.server.objects[f"/bucket/{NAME}"]
            talk.server.objects[f"/bucket/{NAME}"] = (bytes(len(PARTS)), meta)
            talk.reset()
            return
        talk.send(done)


@behaviour(_end_damaged, "gs")
async def an_upload_of_other_bytes_whose_end_is_never_answered(case: Case) -> None:
    await case.refused(case.store.put(NAME, PARTS), "damaged-in-transit")


def _damaged_and_lost(talk: Talk) -> None:
    for request in talk.requests():
        done = talk.server.well(request)
        if request.writes:
            _, meta = talk.server.objects[f"/bucket/{NAME}"]
            talk.server.objects[f"/bucket/{NAME}"] = (b"0urs", meta)
            talk.reset()
            return
        talk.send(done)


@behaviour(_damaged_and_lost, "gs")
async def a_conditional_write_of_other_bytes_that_is_not_answered(case: Case) -> None:
    await case.refused(case.store.put_if(NAME, b"ours", version=None), "put-uncertain")


# Google: what comes and what goes


def _damaging(talk: Talk) -> None:
    for request in talk.requests():
        if request.writes and request.body:
            request.body = request.body.replace(b"ours", b"0urs")
            request.body = request.body.replace(google.crc(b"ours").encode(), google.crc(b"0urs").encode())
        talk.send(talk.server.well(request))


@behaviour(_damaging, "gs")
async def bytes_that_change_on_the_way_in(case: Case) -> None:
    await case.refused(case.store.put(NAME, b"ours"), "damaged-in-transit")
    assert case.server.objects == {}, "what was damaged is still there"


TRANSCODED = answer(
    200, BODY, content_length="", transfer_encoding="chunked", x_goog_stored_content_encoding="gzip"
).partition(b"\r\n\r\n")[0] + b"\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)  # fmt: skip


@behaviour(always(TRANSCODED), "gs")
async def an_object_that_is_decompressed_on_the_way(case: Case) -> None:
    error = await case.refused(case.read(), "bad-answer")
    assert "decompresses" in str(error)


def _once_a_second(talk: Talk) -> None:
    for request in talk.requests():
        last = talk.server.told.get("last", 0.0)
        if request.writes and time.monotonic() - last < 0.5:  # half a second: the test has little patience
            talk.send(google.refuse(429, "rateLimitExceeded"))
        else:
            talk.server.told["last"] = time.monotonic() if request.writes else last
            talk.send(talk.server.well(request))


@behaviour(_once_a_second, "gs")
async def one_write_a_second_on_one_name(case: Case) -> None:
    case.client.options = type(case.client.options)(deadline=2, answer=0.7, tries=7, plain_http=True)
    version = None
    for number in range(3):
        info = await case.store.put_if(NAME, b"%d" % number, version=version)
        version = info.version
    assert _kept(case) == b"2"


SAME_PAGE = orjson.dumps({"items": [], "nextPageToken": "same"})


@behaviour(always(answer(200, SAME_PAGE)), "gs")
async def a_list_of_google_that_never_ends(case: Case) -> None:
    await case.refused(_listed(case), "bad-answer")


STRANGE = {"name": "../../etc/passwd", "size": "1", "generation": "1", "updated": "2026-01-01T00:00:00Z"}


@behaviour(always(answer(200, orjson.dumps({"items": [STRANGE]}))), "gs")
async def a_list_of_google_with_names_that_were_never_ours(case: Case) -> None:
    assert await _listed(case) == []


@behaviour(always(answer(200, b'{"items": [{"name": "a", "size": "many", "generation": "1"}, 7]}')), "gs")
async def a_list_of_google_with_nonsense(case: Case) -> None:
    await case.refused(_listed(case), "bad-answer")


def _no_list(talk: Talk) -> None:
    for items in (b"5", b"null", b'{"a": 1}'):
        if talk.request() is not None:
            talk.send(answer(200, b'{"items": ' + items + b"}"))


@behaviour(_no_list, "gs")
async def a_list_of_google_that_is_none(case: Case) -> None:
    for _ in range(3):
        await case.refused(_listed(case), "bad-answer")


@behaviour(always(answer(200, b"[" * 1_000_000)), "gs")
async def json_without_a_bottom(case: Case) -> None:
    await case.refused(_listed(case), "bad-answer")
    await case.refused(case.store.head(NAME), "bad-answer")


# Azure


def _list_lost(talk: Talk) -> None:
    for request in talk.requests():
        done = talk.server.well(request)
        if request.query.get("comp") == ["blocklist"] and not talk.server.told.setdefault("lost", 0):
            talk.server.told["lost"] = 1
            talk.reset()
            return
        talk.send(done)


@behaviour(_list_lost, "az")
async def a_list_of_blocks_that_was_not_answered(case: Case) -> None:
    info = await case.store.put(NAME, PARTS)
    assert (info.size, _kept(case)) == (len(PARTS), PARTS)
    assert len({len(each) for each in case.server.blocks}) == 1, "ids of blocks have one length"


def _list_always_lost(talk: Talk) -> None:
    for request in talk.requests():
        done = talk.server.well(request)
        if request.query.get("comp") == ["blocklist"]:
            talk.reset()
            return
        talk.send(done)


@behaviour(_list_always_lost, "az")
async def a_list_of_blocks_that_is_never_answered_is_looked_for(case: Case) -> None:
    await case.store.put(NAME, PARTS)
    assert _kept(case) == PARTS


def _damaging_azure(talk: Talk) -> None:
    for request in talk.requests():
        request.body = request.body.replace(b"ours", b"0urs")
        talk.send(talk.server.well(request))


@behaviour(_damaging_azure, "az")
async def bytes_that_change_on_the_way_to_azure(case: Case) -> None:
    await case.refused(case.store.put(NAME, b"ours"), "damaged-in-transit")
    assert case.server.objects == {}


def _copying(talk: Talk) -> None:
    for request in talk.requests():
        done = talk.server.well(request)
        if "x-ms-copy-source" in request.headers:
            done = done.replace(b"x-ms-copy-status: success", b"x-ms-copy-status: pending")
        elif request.method == "HEAD" and request.path.endswith("target"):
            done = done.replace(b"\r\n\r\n", b"\r\nx-ms-copy-status: success\r\n\r\n")
        talk.send(done)


@behaviour(_copying, "az")
async def a_copy_that_takes_its_time(case: Case) -> None:
    await case.store.put("source", b"copied")
    assert await case.store.copy("source", "target")
    assert case.server.requests[-1].method == "HEAD", "it did not wait for the copy"


NEVER = b"<EnumerationResults><Blobs></Blobs><NextMarker>same</NextMarker></EnumerationResults>"


@behaviour(always(answer(200, NEVER)), "az")
async def a_list_of_azure_that_never_ends(case: Case) -> None:
    await case.refused(_listed(case), "bad-answer")


OTHERS = (
    b"<EnumerationResults><Blobs><Blob><Name>../../etc/passwd</Name><Properties/></Blob></Blobs></EnumerationResults>"
)


@behaviour(always(answer(200, OTHERS)), "az")
async def a_list_of_azure_with_names_that_were_never_ours(case: Case) -> None:
    assert await _listed(case) == []


@behaviour(always(answer(403, date="Thu, 01 Jan 2026 00:00:00 GMT", x_ms_error_code="AuthenticationFailed")), "az")
async def a_clock_that_is_wrong(case: Case) -> None:
    await case.refused(case.read(), "clock-skew")


@behaviour(always(microsoft.refuse(409, "BlobArchived")), "az")
async def a_blob_that_is_archived(case: Case) -> None:
    await case.refused(case.read(), "archived", *LOST)


def _gone(talk: Talk) -> None:
    for request in talk.requests():
        talk.send(talk.server.well(request))


@behaviour(_gone, "az")
async def a_source_that_is_not_there(case: Case) -> None:
    try:
        await case.store.copy("missing", "target")
    except NameNotFound:
        return
    raise AssertionError("nothing was copied and nobody said so")


async def _listed(case: Case) -> list[str]:
    return [info.name async for info in case.store.list()]
