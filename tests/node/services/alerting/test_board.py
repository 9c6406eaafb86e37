"""The board over compare-and-set: races, a store that goes away, what the feed is told."""

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from nexa_node.contract.alert_records import AlertRecord
from nexa_node.contract.alerts import NewAck, NewNote
from nexa_node.contract.errors import NexaError, Unavailable
from nexa_node.contract.events import AlertChanged, AlertGone
from nexa_node.ports import ForeignAlert
from nexa_node.services.alerting.board import Board
from tests.alert_rig import AlertTown
from tests.alerting import alert
from tests.fakes import MemoryStore, settle

RULES = """
groups:
- name: queues
  interval: 10s
  rules:
  - alert: Backlog
    expr: depth > 5
    labels: {severity: warning}
"""
change = msgspec.structs.replace

doings = st.lists(
    st.tuples(
        st.sampled_from(["alpha", "beta", "gamma"]),
        st.sampled_from(["ack", "unack", "note"]),
    ),
    min_size=2,
    max_size=6,
)


@settings(max_examples=12, deadline=None)
@given(doings)
def test_whatever_people_do_at_once_all_nodes_agree_and_no_note_is_lost(
    what: list[tuple[str, str]],
) -> None:
    async def story() -> None:
        town = AlertTown(RULES)
        async with (
            town.node("alpha") as alpha,
            town.node("beta") as beta,
            town.node("gamma") as gamma,
        ):
            nodes = {"alpha": alpha, "beta": beta, "gamma": gamma}
            await town.tick(depth=7)
            key = alpha.alert("Backlog").fingerprint

            async def do(number: int, node: str, doing: str) -> None:
                people = nodes[node].people
                if doing == "ack":
                    told = await people.ack(key, NewAck(), by=f"p{number}")
                    assert told.ack is not None
                elif doing == "unack":
                    await people.unack(key, by=f"p{number}")
                else:
                    await people.note(key, NewNote(text=str(number)), by="ann")

            await asyncio.gather(*(do(number, *one) for number, one in enumerate(what)))
            await town.pass_time(2)
            shown = [node.alert("Backlog") for node in nodes.values()]
            assert shown[0] == shown[1] == shown[2]
            wanted = {str(n) for n, (_, doing) in enumerate(what) if doing == "note"}
            assert {note.text for note in shown[0].notes} == wanted
            acks = [doing for _, doing in what if doing != "note"]
            if acks and "unack" not in acks:
                assert shown[0].ack is not None
                lines = [line.change for line in town.store.alert_log.lines]
                assert lines.count("acknowledged") == 1

    asyncio.run(story())


class OneBoard:
    """A board and what it tells, without rules."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.feed: list[Any] = []
        self.wrote: list[tuple[AlertRecord | None, AlertRecord | None, str]] = []
        self.writable = True
        self.board = Board(
            self.store.alerts,
            clock=self.store.clock,
            tell=self.feed.append,
            writable=lambda: self.writable,
        )
        self.board.on_write(lambda *told: self.wrote.append(told))

    async def __aenter__(self) -> "OneBoard":
        self.task = asyncio.create_task(self.board.watch())
        await settle()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()


ONE = AlertRecord(alert=alert("Down"), rule="g/Down")
KEY = ONE.alert.fingerprint


def put(record: AlertRecord | None) -> Any:
    return lambda _before: record


async def test_the_feed_hears_of_each_difference_once() -> None:
    async with OneBoard() as it:
        await it.board.change(KEY, put(ONE))
        await it.board.change(KEY, put(ONE))
        await settle()
        it.board.show(change(ONE, alert=change(ONE.alert, value=9.0)))
        await it.board.change(KEY, put(None), by="ann")
        await settle()
        assert [type(one) for one in it.feed] == [AlertChanged, AlertChanged, AlertGone]
        assert it.feed[1].alert.value == 9.0
        assert it.wrote == [(None, ONE, ""), (ONE, None, "ann")]
        assert it.board.alerts() == []


async def test_the_loser_of_a_race_decides_by_what_the_winner_wrote() -> None:
    async with OneBoard() as it:
        await it.board.change(KEY, put(ONE))
        theirs = change(ONE, expression="theirs")
        it.store.alerts.bucket.set(KEY, theirs)
        seen: list[AlertRecord | None] = []

        def turn(before: AlertRecord | None) -> AlertRecord | None:
            seen.append(before)
            return None if before is None else change(before, node="x")

        after = await it.board.change(KEY, turn)
        assert seen == [ONE, theirs]
        assert after == change(theirs, node="x")


async def test_one_that_is_made_by_two_at_once_is_made_once() -> None:
    async with OneBoard() as it:
        it.task.cancel()
        it.store.alerts.seed(change(ONE, expression="first"))
        after = await it.board.change(
            KEY, lambda before: before if before is not None else ONE
        )
        assert after == change(ONE, expression="first")
        assert it.wrote == []


async def test_what_a_person_does_is_refused_while_nothing_can_be_stored() -> None:
    async with OneBoard() as it:
        await it.board.change(KEY, put(ONE))
        it.store.available = False
        with pytest.raises(Unavailable):
            await it.board.change(KEY, put(change(ONE, node="x")), by="ann")
        assert it.board.record(KEY) == ONE


async def test_what_may_wait_is_shown_now_and_stored_later() -> None:
    async with OneBoard() as it:
        it.store.available = False
        own = change(ONE, node="alpha")
        assert await it.board.change(KEY, put(own), may_wait=True) == own
        assert it.board.alerts() == [ONE.alert]
        assert it.board.unsaved == 1
        await it.board.save()
        assert it.board.unsaved == 1

        it.store.available = True
        await it.board.save()
        assert it.board.unsaved == 0
        assert it.store.alerts.bucket.entries[KEY].value == own
        assert len(it.wrote) == 1


async def test_what_waits_is_not_stored_over_what_others_did_meanwhile() -> None:
    async with OneBoard() as it:
        it.writable = False
        await it.board.change(KEY, put(None), may_wait=True)
        await it.board.change(KEY, put(change(ONE, node="a")), may_wait=True)
        await it.board.change(KEY, put(None), may_wait=True)
        it.store.alerts.bucket.set(KEY, change(ONE, node="a"))
        await settle()
        assert it.board.record(KEY) is None  # as this node had it
        it.writable = True
        await it.board.save()
        assert it.board.record(KEY) == change(ONE, node="a")


async def test_what_waits_of_the_clusters_is_dropped_with_the_control() -> None:
    async with OneBoard() as it:
        it.writable = False
        await it.board.change(KEY, put(ONE), may_wait=True)
        it.board.forget_unsaved(lambda record: not record.node)
        assert it.board.unsaved == 0
        assert it.board.alerts() == []
        assert isinstance(it.feed[-1], AlertGone)


async def test_an_older_word_of_the_store_changes_nothing_of_what_was_just_written() -> (
    None
):
    async with OneBoard() as it:
        await it.board.change(KEY, put(ONE))
        newer = change(ONE, expression="newer")
        it.store.alerts.bucket.set(KEY, newer)
        await it.board.change(KEY, put(change(ONE, expression="newest")))
        await settle()
        assert it.board.record(KEY) == change(ONE, expression="newest")
        await it.board.change(KEY, put(None))
        await settle()
        assert it.board.record(KEY) is None
        again = change(ONE, expression="again")
        it.store.alerts.bucket.set(KEY, again)
        await settle()
        assert it.board.record(KEY) == again


class Prometheus:
    """Evaluates what the test says."""

    def __init__(self) -> None:
        self.on: list[ForeignAlert] = []
        self.fault: NexaError | None = None

    async def alerts(self) -> list[ForeignAlert]:
        if self.fault is not None:
            raise self.fault
        return self.on


async def test_what_a_prometheus_evaluates_is_on_the_board_until_it_says_no_more() -> (
    None
):
    foreign = Prometheus()
    town = AlertTown(RULES, foreign=foreign)
    async with town.node("alpha") as alpha:
        one = ForeignAlert(
            fingerprint=KEY,
            labels=ONE.alert.labels,
            annotations={},
            value=1.0,
            firing=True,
            since=town.clock.now().timestamp(),
            fired=None,
            group="theirs",
        )
        foreign.on = [one]
        await town.tick(depth=7)
        assert alpha.states() == {"Down": "firing"}
        await alpha.people.ack(KEY, NewAck(), by="ann")

        foreign.fault = Unavailable("away")
        await town.tick(2)
        assert alpha.states() == {"Down": "firing"}
        foreign.fault, foreign.on = None, []
        await town.tick()
        over = alpha.alert("Down")
        assert (over.state, over.unseen, over.times) == ("resolved", False, 1)


async def test_a_log_that_is_away_is_written_later_and_in_order() -> None:
    town = AlertTown(RULES)
    async with town.node("alpha") as alpha:
        town.store.alert_log.door.available = False
        alpha.records._records.bucket._door = alpha.door  # only the log is away
        await town.tick(depth=7)
        await town.tick(depth=1)
        assert [line.change for line in alpha.history.unsaved()] == [
            "resolved",
            "firing",
        ]
        handed = await alpha.desk.handover(since_s=600)
        assert dict(handed.noisiest) == {"Backlog": 1}
        detail = await alpha.desk.detail(alpha.alert("Backlog").fingerprint)
        assert [line.change for line in detail.history] == ["resolved", "firing"]

        town.store.alert_log.door.available = True
        await town.pass_time(3)
        assert [line.change for line in town.store.alert_log.lines] == [
            "firing",
            "resolved",
        ]
