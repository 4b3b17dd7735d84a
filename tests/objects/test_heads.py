"""Heads that are read without h11: as h11 reads them, or not at all."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from packhouse.objects.http.heads import read_head, write_head

_STATUS = ("HTTP/1.1 200 OK", "HTTP/1.1 206 Partial Content", "HTTP/1.1 404 ", "HTTP/1.1 503", "HTTP/1.0 200 OK")
_ODD_STATUS = ("HTTP/1.1 100 Continue", "HTTP/1.1  200 OK", "HTTP/2 200", "ICY 200 OK", "HTTP/1.1 2000 OK")
_FIELDS = (
    "Content-Length: 3", "content-length:3", "Content-Length: 3, 3", "Content-Length: 4", "Content-Length: +3",
    "Content-Length: -1", "Content-Length: 3 ", "Content-Length : 3", "Content-Length:", "Content-Length: 0x3",
    "Transfer-Encoding: chunked", "transfer-encoding: identity", "Connection: close", "Connection: keep-alive",
    "ETag: \"e\"", "X-Empty:", "X-Odd:  a\tb  ", "X-Long: caf\u00e9", " folded: 3", "\tfolded", "no colon", "a b: c",
    "X-Nul: a\0b", "X-Cr: a\rb", "X-Lf: a\nContent-Length: 9", "X-Lf: a\n\nContent-Length: 9", ": none", "Upgrade: h2c",
)  # fmt: skip


def _by_h11(head: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    parser = h11.Connection(h11.CLIENT)
    parser.send(h11.Request(method="GET", target="/", headers=[("host", "here")]))
    parser.receive_data(head)
    event = parser.next_event()
    assert isinstance(event, h11.Response)
    return event.status_code, list(event.headers), parser.trailing_data[0]


@given(
    st.sampled_from(_STATUS + _ODD_STATUS),
    st.lists(st.sampled_from(_FIELDS), max_size=5),
    st.sampled_from(("", "abc", "HTTP/1.1 200 OK\r\n\r\n")),
    st.sampled_from(("\r\n", "\n")),
)
def test_an_answer_never_means_another_thing_because_h11_was_not_asked(
    status: str, fields: list[str], behind: str, end: str
) -> None:
    whole = (end.join((status, *fields)) + end * 2 + behind).encode("latin-1")
    head = read_head(bytearray(whole + b"stale bytes of a buffer"), len(whole))
    if head is not None:
        assert (head.status, head.headers, whole[head.end :]) == _by_h11(whole)


def test_what_services_say_is_read_at_once() -> None:
    whole = b'HTTP/1.1 206 Partial Content\r\nContent-Length: 3\r\nETag: "e"\r\nX-Empty:\r\n\r\nabc'
    head = read_head(bytearray(whole), len(whole))
    assert head is not None
    assert head.headers == [(b"content-length", b"3"), (b"etag", b'"e"'), (b"x-empty", b"")]
    assert read_head(bytearray(whole), whole.index(b"abc") - 1) is None, "the rest of the head is to come"


@pytest.mark.parametrize("value", [b"a\r\nx-evil: 1", b"a\nb", b"a\0b", b"a\r", b" a", b"a "])
def test_a_header_cannot_begin_another_one(value: bytes) -> None:
    with pytest.raises(h11.LocalProtocolError):
        write_head("GET", b"/", [(b"host", b"here"), (b"x", value)])


@pytest.mark.parametrize(
    ("method", "target"), [("GET /evil", b"/"), ("GET", b"/a b"), ("GET", b"/\r\nx:1"), ("", b"/")]
)
def test_a_request_line_is_one(method: str, target: bytes) -> None:
    with pytest.raises(h11.LocalProtocolError):
        write_head(method, target, [(b"host", b"here")])
