"""Notifications over REST."""

import msgspec

from nexa_node.adapters.asgi import examples
from nexa_node.contract.notifications import (
    Delivery,
    ReceiversTested,
    WatchdogSeen,
)
from nexa_node.contract.rest import Page
from nexa_node.services.api import DeliveryFilter
from tests.node.adapters.asgi.fake_node import Port


async def test_deliveries_are_listed_and_narrowed(port: Port) -> None:
    answer = await port.http.get(
        "/v1/notifications?receiver=on-call&state=failed&local=true&limit=5&cursor=x"
    )

    assert (
        msgspec.json.decode(answer.content, type=Page[Delivery]) == examples.DELIVERIES
    )
    asked = DeliveryFilter(
        receiver="on-call", state="failed", local=True, limit=5, cursor="x"
    )
    assert port.node.asked == [("notifications", asked)]


async def test_a_state_that_is_none_is_refused(port: Port) -> None:
    assert (await port.http.get("/v1/notifications?state=lost")).status_code == 400


async def test_a_receiver_or_all_are_tested(port: Port) -> None:
    one = await port.http.post("/v1/notifications/test", json={"receiver": "ops"})
    every = await port.http.post("/v1/notifications/test", json={})

    assert msgspec.json.decode(one.content, type=ReceiversTested).items[0].delivered
    assert every.status_code == 200
    assert port.node.asked == [("test_receivers", "ops"), ("test_receivers", "")]


async def test_a_watchdog_calls_by_its_name(port: Port) -> None:
    answer = await port.http.post("/v1/watchdog/uptime")

    assert (
        msgspec.json.decode(answer.content, type=WatchdogSeen) == examples.WATCHDOG_SEEN
    )
    assert (await port.http.post("/v1/watchdog/NO")).status_code == 400
    assert port.node.asked == [("watchdog", "uptime")]
