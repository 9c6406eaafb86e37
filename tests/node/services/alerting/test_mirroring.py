"""An Alertmanager kept in step: alerts pushed, acknowledgements mirrored as silences."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import pytest

from nexa_node.contract.alerts import LabelMatcher, NewSilence, Silence
from nexa_node.contract.errors import Invalid, Unavailable
from nexa_node.services.alerting.delivering import Counts
from nexa_node.services.alerting.mirroring import (
    AHEAD,
    Mirror,
    MirroredSilences,
    is_ack,
)
from tests.alerting import MemoryAlertmanager, ack, alert, around
from tests.fakes import FakeClock, RecordingJournal, settle


class Bench:
    def __init__(self, **more: Any) -> None:
        self.clock, self.journal = FakeClock(), RecordingJournal()
        self.server = more.pop("server", None) or MemoryAlertmanager()
        self.counts = Counts()
        self.ours = True
        self.mirror = Mirror(
            self.server,
            around(self.clock, self.journal),
            self.counts,
            scope=more.pop("scope", "cluster"),
            is_ours=lambda: self.ours,
            **more,
        )

    async def told(self, *alerts: Any, then: float = 0.3) -> None:
        await self.mirror.told(alerts)
        await self.clock.advance(then)

    @property
    def pushed(self) -> list[list[str]]:
        return [names for names, _ in self.server.pushed]


@asynccontextmanager
async def running(**more: Any) -> AsyncIterator[Bench]:
    bench = Bench(**more)
    task = asyncio.ensure_future(bench.mirror.run())
    await settle()
    try:
        yield bench
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_alerts_are_pushed_at_once_and_again_before_they_would_end() -> None:
    async with running() as it:
        await it.told(alert("A"), alert("P", state="pending"))
        assert it.pushed == [["A:firing"]]
        assert it.server.pushed[0][1] - it.clock.now() > AHEAD - timedelta(seconds=1)
        for _ in range(10):
            await it.told(alert("A"), then=15)

        assert len(it.pushed) == 3
        assert it.counts.by["alertmanager", "success"] == 3


async def test_the_end_is_pushed_for_five_minutes() -> None:
    async with running() as it:
        await it.told(alert("A"))
        over = alert("A", state="resolved", resolved=it.clock.now())
        for _ in range(30):
            await it.told(over, then=15)

        assert it.pushed[1] == ["A:resolved"]
        assert 5 <= it.pushed.count(["A:resolved"]) <= 7


async def test_one_that_does_not_answer_is_asked_again_and_told_of_once() -> None:
    async with running() as it:
        it.server.available = False
        await it.told(alert("A"), then=20)
        assert it.journal.kinds() == ["alertmanager.unreachable"]
        assert it.counts.by["alertmanager", "error"] >= 3
        it.server.available = True
        await it.clock.advance(6)

        assert it.pushed == [["A:firing"]]


async def test_a_member_that_fails_is_told_of() -> None:
    async with running() as it:
        it.server.failures = ("beta is away",)
        await it.told(alert("A"))

        assert "beta is away" in it.journal.last("alertmanager.unreachable").message


async def test_who_is_not_the_controller_pushes_nothing() -> None:
    async with running() as it:
        it.ours = False
        await it.told(alert("A"), then=70)

        assert it.pushed == []


async def test_an_acknowledgement_becomes_a_silence_of_this_one_alert() -> None:
    async with running() as it:
        minded = alert(
            "A",
            labels={"node": "a", "empty": ""},
            ack=ack("anna", note="I am\r\non it"),
        )
        await it.told(minded, alert("B"))
        (made,) = it.server.kept.values()

        assert made.by == "anna"
        assert made.comment.startswith("ACK! I am on it nexa:v1 scope=cluster fp=")
        assert is_ack(made)
        assert {one.name: one.value for one in made.matchers} == {
            "alertname": "A", "severity": "critical", "node": "a",
        }  # fmt: skip


async def test_maintenance_of_a_node_becomes_a_silence_until_it_is_back() -> None:
    async with running() as it:
        labels = {"instance": "a"}
        await it.told(alert("A", labels=labels, silenced_by=("maintenance:a",)))
        (made,) = it.server.kept.values()
        assert made.comment.startswith("ACK! maintenance of a nexa:v1 scope=cluster")
        assert made.by == "nexa"

        await it.told(alert("A", labels=labels), then=20)
        assert it.server.kept == {}


async def test_it_is_extended_while_it_holds_and_ended_when_it_is_taken_back() -> None:
    async with running() as it:
        for _ in range(80):
            await it.told(alert("A", ack=ack()), then=15)
        (made,) = it.server.kept.values()
        assert made.ends > it.clock.now() + timedelta(minutes=9)
        await it.told(alert("A"), then=16)

        assert it.server.kept == {}


async def test_it_ends_when_the_acknowledgement_does() -> None:
    async with running() as it:
        until = it.clock.now() + timedelta(minutes=2)
        await it.told(alert("A", ack=ack(until=until)), then=16)
        (made,) = it.server.kept.values()
        assert made.ends == until
        await it.told(alert("A", ack=ack(until=until)), then=200)

        assert it.server.kept == {made.id: made}


async def test_an_acknowledgement_that_is_over_makes_none() -> None:
    async with running() as it:
        await it.told(alert("A", ack=ack(until=it.clock.now())), then=16)

        assert it.server.kept == {}


async def test_it_ends_with_the_alert() -> None:
    async with running() as it:
        await it.told(alert("A", ack=ack()), then=16)
        assert len(it.server.kept) == 1
        await it.told(
            alert("A", ack=ack(), state="resolved", resolved=it.clock.now()), then=16
        )

        assert it.server.kept == {}


async def test_silences_of_people_and_of_other_scopes_are_let_be() -> None:
    async with running() as it:
        now = it.clock.now()
        for comment in (
            "ACK! karma",
            "planned work",
            f"ACK! x nexa:v1 scope=node/beta fp={'0' * 16}",
        ):
            await it.server.put_silence(
                Silence(
                    id="",
                    matchers=(),
                    starts=now,
                    ends=now + timedelta(hours=1),
                    by="x",
                    comment=comment,
                    created=now,
                )
            )
        await it.told(alert("A"), then=16)

        assert len(it.server.kept) == 3


async def test_a_note_that_pretends_to_be_a_mark_hides_nothing() -> None:
    async with running() as it:
        forged = f"nexa:v1 scope=cluster fp={'0' * 16}"
        await it.told(alert("A", ack=ack(note=forged)), then=40)

        assert [is_ack(one) for one in it.server.kept.values()] == [True]


async def test_a_double_is_ended() -> None:
    async with running() as it:
        await it.told(alert("A", ack=ack()), then=16)
        (made,) = it.server.kept.values()
        await it.server.put_silence(
            Silence(
                id="twin",
                matchers=made.matchers,
                starts=made.starts,
                ends=made.ends,
                by="x",
                comment=made.comment,
                created=made.created,
            )
        )
        await it.told(alert("A", ack=ack()), then=16)

        assert len(it.server.kept) == 1


async def test_where_somebody_else_pushes_only_acknowledgements_are_mirrored() -> None:
    async with running(pushes=False) as it:
        await it.told(alert("A", ack=ack()), then=70)

        assert it.pushed == []
        assert len(it.server.kept) == 1


async def test_a_silent_server_costs_no_acknowledgement() -> None:
    async with running() as it:
        it.server.available = False
        await it.told(alert("A", ack=ack()), then=31)
        it.server.available = True
        await it.clock.advance(16)

        assert len(it.server.kept) == 1


async def test_a_fault_of_ours_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as it:

        async def push(*_: Any, **__: Any) -> None:
            raise ValueError("no")

        real = it.server.push
        monkeypatch.setattr(it.server, "push", push)
        await it.told(alert("A"))
        assert it.journal.kinds() == ["node.fault"]
        monkeypatch.setattr(it.server, "push", real)
        await it.clock.advance(61)

        assert it.pushed == [["A:firing"]]


class TestSilences:
    def make(self) -> tuple[MemoryAlertmanager, MirroredSilences]:
        server = MemoryAlertmanager()
        return server, MirroredSilences(server, around(FakeClock()))

    async def test_what_is_made_here_is_there_and_the_other_way_round(self) -> None:
        server, silences = self.make()
        wanted = NewSilence(
            matchers=(LabelMatcher(name="alertname", kind="=", value="A"),),
            comment="planned",
            duration_s=600,
        )
        made = await silences.create(wanted, by="anna")
        assert server.kept[made.id].comment == "planned"
        assert silences.current() == (made,)
        await silences.expire(made.id)

        assert silences.current() == ()
        assert server.kept == {}

    async def test_acknowledgements_are_no_silences(self) -> None:
        server, silences = self.make()
        clock = FakeClock()
        await server.put_silence(
            Silence(
                id="",
                matchers=(),
                starts=clock.now(),
                ends=clock.now(),
                by="x",
                comment=f"ACK! nexa:v1 scope=cluster fp={'a' * 16}",
                created=clock.now(),
            )
        )
        await silences.read()

        assert silences.current() == ()

    async def test_one_that_would_silence_everything_is_refused(self) -> None:
        _, silences = self.make()
        with pytest.raises(Invalid):
            await silences.create(
                NewSilence(matchers=(), comment="x", duration_s=60), by="anna"
            )

    async def test_what_was_read_last_stands_while_nobody_answers(self) -> None:
        server, silences = self.make()
        clock = FakeClock()
        await server.put_silence(
            Silence(
                id="",
                matchers=(),
                starts=clock.now(),
                ends=clock.now(),
                by="x",
                comment="c",
                created=clock.now(),
            )
        )
        await silences.read()
        server.available = False
        await silences.read()

        assert len(silences.current()) == 1
        assert silences.trouble
        with pytest.raises(Unavailable):
            await silences.expire("s1")

    async def test_they_are_read_again_and_again(self) -> None:
        server, clock = MemoryAlertmanager(), FakeClock()
        silences = MirroredSilences(server, around(clock))
        task = asyncio.ensure_future(silences.run())
        await settle()
        await server.put_silence(
            Silence(
                id="",
                matchers=(),
                starts=clock.now(),
                ends=clock.now(),
                by="x",
                comment="c",
                created=clock.now(),
            )
        )
        await clock.advance(11)
        task.cancel()

        assert len(silences.current()) == 1
