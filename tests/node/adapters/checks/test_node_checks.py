"""The node's checks: what they make of what they see."""

from collections.abc import Awaitable, Callable

import pytest

from nexa_node.adapters.checks import node
from nexa_node.ports import RoundTrip


def taking(*publish_ms: float) -> Callable[[], Awaitable[RoundTrip]]:
    left = list(publish_ms)

    async def round_trip() -> RoundTrip:
        return RoundTrip(publish_ms=left.pop(0), read_ms=1.0, cas_ms=2.0)

    return round_trip


@pytest.mark.parametrize(
    ("publish_ms", "status", "detail"),
    [
        ((5.0,), "pass", "synced write 5.0 ms"),
        ((500.0, 7.0), "pass", "synced write 7.0 ms"),
        ((500.0, 300.0, 400.0), "warn", "synced write 300.0 ms"),
    ],
    ids=["quick", "slow once", "slow"],
)
async def test_only_a_store_that_stays_slow_warns(
    publish_ms: tuple[float, ...], status: str, detail: str
) -> None:
    found = await node.store(taking(*publish_ms))

    assert found.status == status
    assert detail in str(found.detail)


async def test_the_binary_is_described() -> None:
    async def describe() -> tuple[str, str, str]:
        return "/x/nats-server", "2.15.1", "ab" * 32

    found = await node.binary(describe)

    assert (found.status, "2.15.1" in str(found.detail)) == ("pass", True)
