"""Notifying: decided once, delivered at least once, whoever the controller is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from nexa_node.contract.errors import Conflict, Unavailable
from nexa_node.core.alerting.notifying.routes import routes_of
from nexa_node.core.policies import RoutePolicy
from nexa_node.ports import Sent
from nexa_node.services.alerting.delivering import Counts, Outbox, Receiver
from nexa_node.services.alerting.notifying import Notifier
from tests.alerting import (
    BUSY,
    OK,
    REFUSED,
    MemoryDeliveries,
    RecordingSender,
    ack,
    alert,
    around,
)
from tests.fakes import FakeClock, RecordingJournal, settle

PROMPT: dict[str, Any] = {"receivers": ("ops",), "group_wait_ms": 0}


@dataclass
class Bench:
    """A notifier of one node, over deliveries that others may share."""

    deliveries: MemoryDeliveries = field(default_factory=MemoryDeliveries)
    clock: FakeClock = field(default_factory=FakeClock)
    journal: RecordingJournal = field(default_factory=RecordingJournal)
    senders: dict[str, RecordingSender] = field(
        default_factory=lambda: {"ops": RecordingSender()}
    )
    routes: tuple[RoutePolicy, ...] = (RoutePolicy(**PROMPT),)
    more: dict[str, Any] = field(default_factory=dict)
    ours: bool = True
    node: str = "alpha"

    def __post_init__(self) -> None:
        kinds = self.more.pop("kinds", {})
        self.receivers = [
            Receiver(
                name=name, kind=kinds.get(name, "webhook"), sender=sender, **self.more
            )
            for name, sender in self.senders.items()
        ]
        self.counts = Counts()
        surroundings = around(self.clock, self.journal, self.node)
        self.outbox = Outbox(
            {one.name: one for one in self.receivers},
            self.deliveries,
            surroundings,
            self.counts,
        )
        self.notifier = Notifier(
            routes_of(self.routes, tuple(self.senders)),
            self.outbox,
            self.receivers,
            around=surroundings,
            is_ours=lambda: self.ours,
        )

    @property
    def ops(self) -> RecordingSender:
        return self.senders["ops"]

    async def told(self, *alerts: Any) -> None:
        await self.notifier.told(alerts)
        await settle()


@asynccontextmanager
async def running(**more: Any) -> AsyncIterator[Bench]:
    bench = Bench(**more)
    task = asyncio.ensure_future(bench.notifier.run())
    await settle()
    try:
        yield bench
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_an_alert_is_told_at_once_and_its_end_too() -> None:
    async with running(routes=(RoutePolicy(**PROMPT, group_interval_ms=1000),)) as it:
        await it.told(alert("A"))
        assert it.ops.told() == [("firing", ["A:firing"])]

        await it.told(alert("A", state="resolved", resolved=it.clock.now()))
        await it.clock.advance(1.5)

        assert it.ops.told()[1:] == [("resolved", ["A:resolved"])]
        assert it.deliveries.states() == ["waiting", "delivered"] * 2


async def test_telling_the_same_again_tells_nobody_again() -> None:
    async with running(routes=(RoutePolicy(**PROMPT, group_interval_ms=1000),)) as it:
        for _ in range(20):
            await it.told(alert("A"))
            await it.clock.advance(5)

        assert len(it.ops.sent) == 1


async def test_what_fails_is_tried_again_later_and_later() -> None:
    ops = RecordingSender(BUSY, BUSY, OK)
    async with running(senders={"ops": ops}) as it:
        await it.told(alert("A"))
        assert len(ops.sent) == 1
        await it.clock.advance(0.7)
        assert len(ops.sent) == 1
        await it.clock.advance(0.9)
        assert len(ops.sent) == 2
        await it.clock.advance(3)

        assert len(ops.sent) == 3
        assert len({one.id for one in ops.sent}) == 1
        assert it.deliveries.states() == [
            "waiting",
            "retrying",
            "retrying",
            "delivered",
        ]
        assert it.journal.kinds() == ["notification.retrying"]
        assert it.counts.by["webhook", "error"] == 2
        assert it.counts.by["webhook", "success"] == 1


async def test_a_receiver_is_left_alone_for_as_long_as_it_asks() -> None:
    ops = RecordingSender(Sent(False, "429", retry=True, after_s=60))
    async with running(senders={"ops": ops}) as it:
        await it.told(alert("A"))
        await it.clock.advance(59)
        assert len(ops.sent) == 1
        await it.clock.advance(2)

        assert len(ops.sent) == 2


async def test_what_can_never_arrive_is_given_up_loudly_and_told_with_the_next_look() -> (
    None
):
    ops = RecordingSender(REFUSED)
    route = RoutePolicy(**PROMPT, group_interval_ms=60_000)
    async with running(senders={"ops": ops}, routes=(route,)) as it:
        await it.told(alert("A"))
        await it.clock.advance(30)
        assert len(ops.sent) == 1
        assert it.journal.last("notification.failed").severity == "critical"
        assert it.deliveries.states() == ["waiting", "failed"]

        await it.clock.advance(31)
        assert [one.reason for one in ops.sent] == ["firing", "firing"]


async def test_what_cannot_be_delivered_for_too_long_is_given_up() -> None:
    ops = RecordingSender(*[BUSY] * 30)
    route = RoutePolicy(**PROMPT, group_interval_ms=900_000_000)
    async with running(
        senders={"ops": ops}, more={"retry_s": 60.0}, routes=(route,)
    ) as it:
        await it.told(alert("A"))
        await it.clock.advance(400)

        assert it.deliveries.states()[-1] == "failed"
        assert it.outbox.waiting() == (0, 0.0)


async def test_a_group_that_changes_while_its_receiver_is_away_is_told_as_it_is() -> (
    None
):
    ops = RecordingSender(BUSY)
    route = RoutePolicy(**PROMPT, group_interval_ms=100)
    async with running(senders={"ops": ops}, routes=(route,)) as it:
        await it.told(alert("A"))
        await it.clock.advance(0.3)
        await it.told(alert("A"), alert("A", labels={"node": "b"}))
        await it.clock.advance(2)

        assert ops.told()[1:] == [("firing", ["A:firing", "A:firing"])]
        assert it.deliveries.states() == [
            "waiting",
            "retrying",
            "superseded",
            "waiting",
            "delivered",
        ]


async def test_one_that_changes_while_it_is_being_delivered_is_told_again() -> None:
    ops = RecordingSender()
    ops.open.clear()
    route = RoutePolicy(**PROMPT, group_interval_ms=100)
    async with running(senders={"ops": ops}, routes=(route,)) as it:
        await it.told(alert("A"))
        await it.clock.advance(0.3)
        await it.told(alert("A"), alert("A", labels={"node": "b"}))
        await it.clock.advance(0.3)
        ops.open.set()
        await settle()

        assert [len(one.notices) for one in ops.sent] == [1, 2]
        assert it.deliveries.states() == [
            "waiting",
            "superseded",
            "waiting",
            "delivered",
            "delivered",
        ]
        assert it.outbox.waiting() == (0, 0.0)


async def test_no_receiver_is_called_more_often_than_it_may_be() -> None:
    route = RoutePolicy(**PROMPT, group_by=("...",))
    async with running(more={"per_minute": 3}, routes=(route,)) as it:
        await it.told(
            *(alert("A", labels={"n": str(n)}) for n in range(5)),
            alert("B", severity="info"),
        )
        assert len(it.ops.sent) == 3
        assert it.outbox.waiting()[0] == 3
        await it.clock.advance(61)

        assert len(it.ops.sent) == 6
        assert it.ops.sent[-1].notices[0].name == "B"


async def test_a_slow_receiver_keeps_no_other_waiting() -> None:
    slow, ops = RecordingSender(), RecordingSender()
    slow.open.clear()
    routes = (RoutePolicy(receivers=("slow", "ops"), group_wait_ms=0),)
    async with running(senders={"slow": slow, "ops": ops}, routes=routes) as it:
        await it.told(alert("A"))

        assert len(ops.sent) == 1
        assert it.deliveries.states().count("delivered") == 1


async def test_flapping_is_one_notice_at_its_start_and_one_at_its_end() -> None:
    route = RoutePolicy(**PROMPT, group_interval_ms=1000)
    async with running(routes=(route,)) as it:
        await it.told(alert("A"))
        for turn in range(10):
            over = {"state": "resolved", "resolved": it.clock.now()} if turn % 2 else {}
            await it.told(alert("A", flapping=True, **over))
            await it.clock.advance(2)
        await it.told(alert("A", state="resolved", resolved=it.clock.now()))
        await it.clock.advance(2)

        assert [reason for reason, _ in it.ops.told()] == [
            "firing",
            "flapping",
            "resolved",
        ]


async def test_an_acknowledgement_goes_to_the_pager_at_once() -> None:
    pager = RecordingSender()
    routes = (RoutePolicy(receivers=("pager",), group_wait_ms=0),)
    async with running(
        senders={"pager": pager}, routes=routes, more={"kinds": {"pager": "pagerduty"}}
    ) as it:
        await it.told(alert("A"))
        await it.told(alert("A", ack=ack("anna")))

        assert [one.reason for one in pager.sent] == ["firing", "acknowledged"]
        assert pager.sent[1].acked


async def test_nobody_acknowledges_so_the_next_one_is_told() -> None:
    boss = RecordingSender()
    routes = (RoutePolicy(**PROMPT, escalate_to=("boss",), escalate_after_minutes=1),)
    heard: list[str] = []
    async with running(
        senders={"ops": RecordingSender(), "boss": boss}, routes=routes
    ) as it:
        it.notifier.on_escalated(lambda fingerprint, _: heard.append(fingerprint))
        await it.told(alert("A"), alert("B", ack=ack()))
        await it.clock.advance(61)
        await it.told(alert("A"), alert("B", ack=ack()))

        assert boss.told() == [("escalated", ["A:firing"])]
        assert heard == [alert("A").fingerprint]
        assert "nobody acknowledged A" in it.journal.last("alert.escalated").message


async def test_who_becomes_controller_goes_on_where_the_other_stopped() -> None:
    shared, clock = MemoryDeliveries(), FakeClock()
    away = RecordingSender(BUSY)
    async with running(deliveries=shared, clock=clock, senders={"ops": away}) as first:
        await first.told(alert("A"), alert("B"))
    assert [one.value.job is not None for one in shared.records.values()].count(
        True
    ) == 1

    async with running(deliveries=shared, clock=clock, node="beta") as second:
        await clock.advance(3)
        await second.told(alert("A"), alert("B"))
        await clock.advance(3)

        assert len(second.ops.sent) == 1
        assert second.ops.sent[0].id in {one.id for one in away.sent}


async def test_what_ended_between_two_controllers_is_told_by_the_second() -> None:
    shared, clock = MemoryDeliveries(), FakeClock()
    async with running(deliveries=shared, clock=clock) as first:
        await first.told(alert("A"))
    async with running(deliveries=shared, clock=clock) as second:
        await clock.advance(400)
        await second.told(alert("A", state="resolved", resolved=clock.now()))
        await clock.advance(301)

        assert second.ops.told() == [("resolved", ["A:resolved"])]


async def test_an_escalation_is_known_to_the_next_controller() -> None:
    shared, clock = MemoryDeliveries(), FakeClock()
    routes = (
        RoutePolicy(
            **PROMPT,
            escalate_to=("ops",),
            escalate_after_minutes=1,
            group_interval_ms=1000,
        ),
    )
    async with running(deliveries=shared, clock=clock, routes=routes) as first:
        await clock.advance(61)
        await first.told(alert("A"))
        assert [one.reason for one in first.ops.sent] == ["firing", "escalated"]
    async with running(deliveries=shared, clock=clock, routes=routes) as second:
        await second.told(alert("A", state="resolved", resolved=clock.now()))
        await clock.advance(2)

        assert [one.reason for one in second.ops.sent] == ["resolved", "resolved"]


async def test_who_is_not_the_controller_tells_nobody() -> None:
    async with running(ours=False) as it:
        await it.told(alert("A"))
        await it.clock.advance(5)
        assert it.ops.sent == []

        it.ours = True
        await it.clock.advance(1)
        await it.told(alert("A"))
        assert len(it.ops.sent) == 1
        it.ours = False
        await it.clock.advance(1)
        await it.told(alert("B"))
        await it.clock.advance(60)
        assert len(it.ops.sent) == 1


async def test_two_that_think_they_are_the_controller_tell_once() -> None:
    shared, clock = MemoryDeliveries(), FakeClock()
    async with (
        running(deliveries=shared, clock=clock) as one,
        running(deliveries=shared, clock=clock) as other,
    ):
        await one.told(alert("A"))
        await other.told(alert("A"))
        await clock.advance(5)

        assert len(one.ops.sent) + len(other.ops.sent) == 1


async def test_nothing_is_sent_before_it_is_stored() -> None:
    async with running() as it:
        it.deliveries.available = False
        await it.told(alert("A"))
        await it.clock.advance(3)
        assert it.ops.sent == []
        it.deliveries.available = True
        await it.clock.advance(3)

        assert len(it.ops.sent) == 1


async def test_a_store_that_is_silent_at_first_is_asked_again() -> None:
    deliveries = MemoryDeliveries()
    deliveries.available = False
    async with running(deliveries=deliveries) as it:
        await it.told(alert("A"))
        await it.clock.advance(3)
        deliveries.available = True
        await it.clock.advance(1)
        await it.told(alert("A"))

        assert len(it.ops.sent) == 1


async def test_what_was_delivered_while_nothing_could_be_stored_is_not_sent_again() -> (
    None
):
    ops = RecordingSender()
    ops.open.clear()
    async with running(senders={"ops": ops}) as it:
        await it.told(alert("A"))
        it.deliveries.available = False
        ops.open.set()
        await it.clock.advance(10)
        it.deliveries.available = True
        await it.clock.advance(10)

        assert len(ops.sent) == 1
        assert [one.value.job for one in it.deliveries.records.values()] == [None]
        assert "notification.unlogged" in it.journal.kinds()


async def test_a_record_that_another_wrote_meanwhile_stands() -> None:
    ops = RecordingSender()
    ops.open.clear()
    async with running(senders={"ops": ops}) as it:
        await it.told(alert("A"))
        ((key, there),) = it.deliveries.records.items()
        theirs = msgspec.structs.replace(there.value, job=None, number=9)
        await it.deliveries.put(theirs, revision=there.revision)
        ops.open.set()
        await settle()

        assert it.outbox.get(key) == theirs


async def test_old_records_are_forgotten() -> None:
    async with running() as it:
        await it.told(alert("A"))
        (key,) = it.deliveries.records
        assert it.outbox.get(key) is not None
        it.clock.jump(6 * 86_400)
        await it.clock.advance(1)

        assert it.outbox.get(key) is None


async def test_a_group_of_a_receiver_that_is_no_more_is_let_be() -> None:
    shared, clock = MemoryDeliveries(), FakeClock()
    async with running(
        deliveries=shared, clock=clock, senders={"ops": RecordingSender(BUSY)}
    ) as first:
        await first.told(alert("A"))
    gone = (RoutePolicy(receivers=("new",), group_wait_ms=0),)
    async with running(
        deliveries=shared, clock=clock, senders={"new": RecordingSender()}, routes=gone
    ) as it:
        await clock.advance(30)
        await it.told(alert("A"))

        assert len(it.senders["new"].sent) == 1


async def test_an_error_of_the_store_while_deciding_is_no_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running() as it:
        real = it.deliveries.put
        failures: list[Exception] = [Unavailable("no"), Conflict("theirs")]

        async def put(track: Any, *, revision: int) -> int:
            if failures:
                raise failures.pop(0)
            return await real(track, revision=revision)

        monkeypatch.setattr(it.deliveries, "put", put)
        await it.told(alert("A"))
        await it.clock.advance(5)

        assert len(it.ops.sent) == 1


async def test_an_alert_that_cannot_be_stored_keeps_no_other_from_being_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running() as it:
        real = it.deliveries.put

        async def put(track: Any, *, revision: int) -> int:
            if "Bad" in track.group:
                raise UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogate")
            return await real(track, revision=revision)

        monkeypatch.setattr(it.deliveries, "put", put)
        await it.told(alert("Bad"), alert("Good"))
        await it.clock.advance(5)

        assert [one.notices[0].name for one in it.ops.sent] == ["Good"]
        assert it.journal.kinds() == ["node.fault"]


async def test_a_notification_that_cannot_be_made_is_given_up_and_no_other() -> None:
    class Broken(RecordingSender):
        async def send(self, notification: Any) -> Sent:
            if notification.notices[0].name == "Bad":
                raise ValueError("no")
            return await super().send(notification)

    ops = Broken()
    async with running(senders={"ops": ops}) as it:
        await it.told(alert("Bad"), alert("Good"))

        assert [one.notices[0].name for one in ops.sent] == ["Good"]
        assert it.deliveries.states().count("failed") == 1
        assert "node.fault" in it.journal.kinds()
