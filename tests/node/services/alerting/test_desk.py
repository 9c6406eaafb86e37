"""What operators ask of notifications."""

from datetime import timedelta
from typing import Any

import pytest

from nexa_node.contract.errors import NotFound, Unavailable
from nexa_node.contract.notifications import Delivery
from nexa_node.services.alerting.delivering import Receiver
from nexa_node.services.alerting.desk import NotificationDesk
from nexa_node.services.alerting.watchdogs import Watchdogs
from nexa_node.services.api import DeliveryFilter
from tests.alerting import (
    NOW,
    REFUSED,
    MemoryAlertmanager,
    MemoryDeliveries,
    RecordingSender,
    around,
)
from tests.fakes import FakeClock


class Bench:
    def __init__(
        self, *receivers: Receiver, server: MemoryAlertmanager | None = None
    ) -> None:
        self.cluster, self.local = MemoryDeliveries(), MemoryDeliveries()
        clock = FakeClock()
        self.desk = NotificationDesk(
            {one.name: one for one in receivers},
            self.cluster,
            self.local,
            around(clock),
            watchdogs=Watchdogs(("uptime",), clock),
            alertmanager=server,
        )


def receiver(
    name: str = "ops", kind: Any = "webhook", sender: RecordingSender | None = None
) -> Receiver:
    return Receiver(name=name, kind=kind, sender=sender or RecordingSender())


def entry(id: str, state: Any = "delivered", *, at: int = 0, **over: Any) -> Delivery:
    fields: dict[str, Any] = {
        "id": id,
        "receiver": "ops",
        "kind": "webhook",
        "reason": "firing",
        "state": state,
        "at": NOW + timedelta(seconds=at),
        "created": NOW + timedelta(seconds=over.pop("created", 0)),
        "group": "{}:{}",
    }
    return Delivery(**{**fields, **over})


async def test_each_delivery_is_told_as_far_as_it_has_come() -> None:
    it = Bench()
    it.cluster.entries = [
        entry("a", "waiting"),
        entry("a", "retrying", at=1),
        entry("a", "delivered", at=2),
    ]
    it.local.entries = [entry("b", "failed", created=5)]
    page = await it.desk.deliveries(DeliveryFilter())

    assert [(one.id, one.state) for one in page.items] == [
        ("b", "failed"),
        ("a", "delivered"),
    ]
    assert page.next_cursor is None


async def test_they_can_be_narrowed_and_read_page_by_page() -> None:
    it = Bench()
    it.cluster.entries = [
        entry(f"d{n}", created=n, at=n, receiver="ops" if n % 2 else "mail")
        for n in range(10)
    ]
    first = await it.desk.deliveries(DeliveryFilter(receiver="ops", limit=2))
    second = await it.desk.deliveries(
        DeliveryFilter(receiver="ops", limit=9, cursor=first.next_cursor)
    )

    assert [one.id for one in (*first.items, *second.items)] == [
        "d9",
        "d7",
        "d5",
        "d3",
        "d1",
    ]
    assert (await it.desk.deliveries(DeliveryFilter(state="failed"))).items == ()


async def test_what_this_node_told_can_be_read_without_the_store() -> None:
    it = Bench()
    it.local.entries = [entry("b")]
    it.cluster.available = False

    assert len((await it.desk.deliveries(DeliveryFilter(local=True))).items) == 1
    with pytest.raises(Unavailable):
        await it.desk.deliveries(DeliveryFilter())


async def test_each_receiver_can_be_tested() -> None:
    good, bad = RecordingSender(), RecordingSender(REFUSED)
    it = Bench(receiver("good", sender=good), receiver("bad", sender=bad))
    told = await it.desk.test("")

    assert [(one.receiver, one.delivered, one.detail) for one in told.items] == [
        ("bad", False, "400 no"),
        ("good", True, "200 ok"),
    ]
    assert good.sent[0].reason == "test"
    assert [one.state for one in it.local.entries] == ["failed", "delivered"]


async def test_a_test_of_a_pager_leaves_no_incident_behind() -> None:
    pager = RecordingSender()
    it = Bench(receiver("pager", "pagerduty", pager))
    await it.desk.test("pager")

    assert [one.status for one in pager.sent] == ["firing", "resolved"]


async def test_a_test_that_cannot_be_logged_is_made_all_the_same() -> None:
    it = Bench(receiver())
    it.local.available = False

    assert (await it.desk.test("ops")).items[0].delivered


async def test_an_alertmanager_is_asked_how_it_is() -> None:
    server = MemoryAlertmanager()
    it = Bench(server=server)
    assert (await it.desk.test("")).items[0].detail.startswith("Alertmanager 0.25.0")
    server.available = False

    assert not (await it.desk.test("alertmanager")).items[0].delivered


async def test_a_receiver_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(NotFound) as told:
        await Bench(receiver("ops")).desk.test("opps")
    assert "there are: ops" in told.value.message
    with pytest.raises(NotFound):
        await Bench().desk.test("")


async def test_a_watchdog_may_call() -> None:
    assert Bench().desk.watchdog("uptime").name == "uptime"
