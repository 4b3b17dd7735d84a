"""How objects travel: a transport of our own behind httpx's public interface, and what every request goes through.

`Transport` carries requests (any `httpx.AsyncClient` can use it); `HttpClient` adds one deadline per operation, tries
again what can be tried again, and bounds what is in flight. Both know nothing of buckets.
"""

from packhouse.objects.http.bodies import Buffers
from packhouse.objects.http.calls import Call, Doubt, Fault, Reply
from packhouse.objects.http.client import HttpClient
from packhouse.objects.http.operation import Operation, current
from packhouse.objects.http.options import HttpOptions
from packhouse.objects.http.transport import Transport

__all__ = [
    "Buffers",
    "Call",
    "Doubt",
    "Fault",
    "HttpClient",
    "HttpOptions",
    "Operation",
    "Reply",
    "Transport",
    "current",
]
