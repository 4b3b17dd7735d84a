"""Every misbehaviour of a server, by every transport: no wrong bytes, no secret sent away, an end in time."""

from __future__ import annotations

import pytest

from tests.hostile.behaviours import BEHAVIOURS, PAIRS, Behaviour
from tests.hostile.driving import CARRIERS, Carrier, drive

# What differs from another carrier in its wrapping only is for the long run: `make scorecard` drives everything.
SHORT = [pytest.param(one, marks=pytest.mark.torture) if one == "own behind httpx" else one for one in CARRIERS]
S3 = [behaviour for behaviour, service in PAIRS if service == "s3"]
OTHERS = [pytest.param(*pair, id=f"{pair[1]}-{pair[0].name}") for pair in PAIRS if pair[1] != "s3"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("carrier", SHORT)
@pytest.mark.parametrize("behaviour", S3, ids=lambda one: one.name)
async def test_a_client_survives(behaviour: Behaviour, carrier: Carrier, anyio_backend: str) -> None:
    await drive(behaviour, carrier)


@pytest.mark.parametrize("anyio_backend", ["trio"])
@pytest.mark.parametrize("behaviour", S3, ids=lambda one: one.name)
async def test_our_transport_survives_on_trio(behaviour: Behaviour, anyio_backend: str) -> None:
    await drive(behaviour, "own")


@pytest.mark.parametrize(
    ("carrier", "anyio_backend"),
    [("own", "asyncio"), pytest.param("own", "trio", marks=pytest.mark.torture), ("httpx", "asyncio")],
)
@pytest.mark.parametrize(("behaviour", "service"), OTHERS)
async def test_other_dialects_survive(behaviour: Behaviour, service: str, carrier: Carrier, anyio_backend: str) -> None:
    await drive(behaviour, carrier, service)


def test_there_are_at_least_twenty_five_behaviours() -> None:
    assert len({behaviour.name for behaviour in BEHAVIOURS}) == len(BEHAVIOURS) >= 25
