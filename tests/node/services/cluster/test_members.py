"""The members of a cluster, as its nodes see and tell them."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import msgspec
import pytest

from nexa_node.contract.cluster import Beat
from nexa_node.contract.nodes import NodeState
from nexa_node.core.health import Assessment
from nexa_node.core.policies import ClusterPolicy
from nexa_node.services.cluster.members import Members, Myself
from tests import builders
from tests.fake_cluster import ROUND_TRIP_MS, FakeNet, entry, shape
from tests.fakes import FakeClock, RecordingJournal

POLICY = ClusterPolicy(beat_ms=500, suspect_ms=1500, dead_ms=3000)
NAMES = ("alpha", "beta", "gamma")


class Town:
    """Nodes that are members of one cluster, and nothing else."""

    def __init__(self, *names: str) -> None:
        self.clock = FakeClock()
        self.net = FakeNet(self.clock)
        self.journal = RecordingJournal()
        self.lies = shape(*names)
        self.states: dict[str, NodeState] = dict.fromkeys(names, "running")
        self.health = {name: Assessment("healthy", ()) for name in names}
        self.entries = {name: entry(name) for name in names}
        self.nodes = {name: self._make(name) for name in names}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.died: list[tuple[str, str]] = []

    def _make(self, name: str) -> Members:
        node = self.net.node(name)
        made = Members(
            myself=Myself(
                entry=lambda: self.entries[name],
                started=builders.EARLIER,
                state=lambda: self.states[name],
                assess=lambda: self.health[name],
                agents=lambda: 3,
                host=builders.sample,
            ),
            beats=node.beats,
            entries=node.entries,
            shape=lambda: self.lies,
            clock=self.clock,
            journal=self.journal,
            policy=POLICY,
        )
        made.on_dead(lambda dead: self.died.append((name, dead)))
        return made

    def start(self, *names: str) -> None:
        for name in names or self.nodes:
            self.net.node(name).alive = True
            self.tasks[name] = asyncio.ensure_future(self.nodes[name].run())

    def kill(self, name: str) -> None:
        self.net.node(name).alive = False
        self.tasks.pop(name).cancel()

    def again(self, name: str, incarnation: str) -> None:
        began = self.entries[name]
        self.entries[name] = msgspec.structs.replace(began, incarnation=incarnation)
        self.nodes[name] = self._make(name)
        self.start(name)

    def told(self, kind: str) -> list[str]:
        return [each.message for each in self.journal.records if each.kind == kind]


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    made = Town(*NAMES)
    yield made
    for task in made.tasks.values():
        task.cancel()


async def test_all_are_on_record_and_heard_with_their_round_trips(town: Town) -> None:
    town.start()
    await town.clock.advance(10)
    assert set(town.net.entries.entries) == set(NAMES)
    for name in NAMES:
        seen = town.nodes[name].view()
        assert [node.name for node in seen] == list(NAMES)
        assert {node.health for node in seen} == {"healthy"}
        assert {node.role for node in seen} == {"leader", "follower"}
        assert [node.rtt_ms for node in seen if node.name != name] == [
            ROUND_TRIP_MS
        ] * 2
        assert town.nodes[name].living() == set(NAMES)
    assert seen[0].agents == 3
    assert seen[2].host is not None
    assert seen[0].host == seen[2].host
    assert town.nodes["alpha"].others() == {"beta", "gamma"}


async def test_a_member_that_comes_later_is_told_once_by_one(town: Town) -> None:
    town.start("alpha", "beta")
    await town.clock.advance(5)
    town.journal.records.clear()
    town.start("gamma")
    await town.clock.advance(5)
    assert town.told("node.joined") == ["gamma: it is a member from now on"]
    (told,) = town.journal.records
    assert told.data == {"node": "gamma", "seen_by": "alpha"}


async def test_a_name_that_is_kept_for_a_joiner_is_no_vote_yet() -> None:
    town = Town("alpha", "beta")
    reserved = entry("beta", incarnation="")
    await town.net.node("alpha").entries.put(reserved, revision=0)
    town.start("alpha")
    await town.clock.advance(10)

    assert not town.nodes["alpha"].is_cut_off
    assert town.nodes["alpha"].routes() == ("beta:6222",)
    assert town.told("node.joined") == []
    town.start("beta")
    await town.clock.advance(5)
    assert town.told("node.joined") == ["beta: it is a member from now on"]
    town.kill("beta")
    await town.clock.advance(5)
    assert town.nodes["alpha"].is_cut_off
    town.tasks["alpha"].cancel()


async def test_pins_are_of_all_on_record_once_this_node_is_on_it(town: Town) -> None:
    for name in NAMES:
        town.entries[name] = entry(name, pin=f"pin-{name}")
    alpha, gamma = town.nodes["alpha"], town.nodes["gamma"]
    assert alpha.pins() is None, "nothing was read"
    town.start()
    await town.clock.advance(5)
    assert alpha.pins() == gamma.pins() == ("pin-alpha", "pin-beta", "pin-gamma")
    assert gamma.told_pins() == set()
    town.lies = shape(*NAMES, have=1)
    await town.clock.advance(5)
    assert gamma.told_pins() == {"pin-alpha", "pin-beta", "pin-gamma"}


async def test_a_dead_node_is_suspected_then_dead_and_told_once(town: Town) -> None:
    town.start()
    await town.clock.advance(5)
    town.journal.records.clear()
    town.kill("gamma")
    await town.clock.advance(4.5)

    assert town.journal.kinds() == ["node.suspect", "node.dead"]
    assert "not heard by alpha, beta" in town.told("node.dead")[0]
    assert sorted(town.died) == [("alpha", "gamma"), ("beta", "gamma")]
    assert not town.nodes["alpha"].is_alive("gamma")
    gone = town.nodes["beta"].view()[2]
    assert (gone.state, gone.health, gone.url) == (
        "error",
        "unhealthy",
        "https://gamma:6392",
    )
    assert gone.rtt_ms is None

    town.again("gamma", "run-gamma-2")
    await town.clock.advance(3)
    assert town.told("node.back") == ["gamma: it was started anew"]
    assert town.nodes["alpha"].is_alive("gamma")
    assert town.net.entries.entries["gamma"].value.incarnation == "run-gamma-2"


async def test_when_the_first_by_name_dies_the_next_one_tells(town: Town) -> None:
    town.start()
    await town.clock.advance(5)
    town.journal.records.clear()
    town.kill("alpha")
    await town.clock.advance(5)
    told = [(each.kind, each.data["seen_by"]) for each in town.journal.records]
    assert told == [("node.suspect", "beta"), ("node.dead", "beta")]

    town.again("alpha", "run-alpha-2")
    await town.clock.advance(3)
    assert town.told("node.back") == ["alpha: it was started anew"]


async def test_a_goodbye_is_no_death(town: Town) -> None:
    town.start()
    await town.clock.advance(5)
    town.journal.records.clear()
    await town.nodes["gamma"].stop()
    town.kill("gamma")
    await town.clock.advance(10)
    assert town.journal.kinds() == ["node.left"]
    assert town.died == []
    assert town.nodes["alpha"].living() == {"alpha", "beta"}
    gone = town.nodes["alpha"].view()[2]
    assert (gone.state, gone.health, gone.agents) == ("stopped", "unknown", 0)


async def test_a_node_cut_off_says_it_of_itself_and_of_nobody_else(town: Town) -> None:
    town.start()
    await town.clock.advance(5)
    town.journal.records.clear()
    town.net.part({"alpha"}, {"beta", "gamma"})
    await town.clock.advance(6)
    told = [(e.kind, e.subject, e.data["seen_by"]) for e in town.journal.records]
    assert sorted(told) == [
        ("node.dead", "node/alpha", "beta"),
        ("node.suspect", "node/alpha", "alpha"),
        ("node.suspect", "node/alpha", "beta"),
    ]
    assert [town.nodes[name].is_cut_off for name in NAMES] == [True, False, False]
    mine = town.nodes["alpha"].view()[0]
    assert mine.health == "degraded"
    assert "it may be the one cut off" in mine.reasons[0]
    assert town.nodes["alpha"].living() == set(NAMES)

    town.net.heal()
    await town.clock.advance(3)
    assert town.nodes["alpha"].view()[0].health == "healthy"
    assert town.nodes["beta"].is_alive("alpha")


async def test_disagreement_is_told_once(town: Town) -> None:
    town.start()
    await town.clock.advance(5)
    town.journal.records.clear()
    town.net.cut("gamma", "beta", one_way=True)
    await town.clock.advance(30)
    (told,) = town.told("nodes.disagree")
    assert told == (
        "alpha hears gamma, beta does not, though gamma hears beta:"
        " the way from gamma to beta is broken"
    )
    assert [one.of for one in town.nodes["alpha"].disagreements()] == ["gamma"]
    assert len(town.nodes["alpha"].opinions()) == 6
    assert town.nodes["beta"].view()[2].rtt_ms is None
    assert town.died == []


async def test_candidates_are_those_that_are_heard_and_say_how_they_are(
    town: Town,
) -> None:
    town.start()
    town.states["beta"] = "stopping"
    town.health["gamma"] = Assessment("unhealthy", ("no disk",))
    await town.clock.advance(5)
    found = {each.name: each for each in town.nodes["alpha"].candidates()}
    assert (found["alpha"].fit, found["alpha"].near_store) == (True, True)
    assert (found["beta"].leaving, found["gamma"].fit) == (True, False)
    assert found["gamma"].started == builders.EARLIER.timestamp()

    town.kill("gamma")
    await town.clock.advance(2.5)
    assert [each.name for each in town.nodes["alpha"].candidates()] == ["alpha", "beta"]
    assert not town.nodes["alpha"].is_heard("gamma")
    assert town.nodes["alpha"].is_heard("alpha")


async def test_a_node_struck_off_disappears_and_does_not_write_itself_back(
    town: Town,
) -> None:
    town.start()
    await town.clock.advance(5)
    await town.net.node("alpha").entries.delete("gamma")
    await town.clock.advance(10)
    assert town.told("node.left") == ["gamma: it is no member any more"]
    assert [node.name for node in town.nodes["alpha"].view()] == ["alpha", "beta"]
    assert "gamma" not in town.net.entries.entries


async def test_a_node_that_leaves_is_no_member_though_it_still_runs(town: Town) -> None:
    town.start()
    await town.clock.advance(5)
    town.net.entries.set("gamma", msgspec.structs.replace(entry("gamma"), left=True))
    await town.clock.advance(10)
    assert town.nodes["alpha"].living() == {"alpha", "beta"}
    assert town.net.entries.entries["gamma"].value.left

    town.kill("gamma")
    town.again("gamma", "run-gamma-2")
    await town.clock.advance(5)
    assert not town.net.entries.entries["gamma"].value.left
    assert town.nodes["alpha"].living() == set(NAMES)


async def test_what_others_wrote_in_the_entry_stays(town: Town) -> None:
    earlier = datetime(2025, 1, 1, tzinfo=UTC)
    town.net.entries.set(
        "alpha", entry("alpha", joined=earlier, maintenance=True, version="0.1.0")
    )
    town.start("alpha")
    await town.clock.advance(3)
    kept = town.net.entries.entries["alpha"].value
    assert kept == entry("alpha", joined=earlier, maintenance=True)
    revision = town.net.entries.entries["alpha"].revision
    await town.clock.advance(30)
    assert town.net.entries.entries["alpha"].revision == revision


async def test_all_know_which_nodes_are_in_maintenance(town: Town) -> None:
    town.net.entries.set("beta", entry("beta", maintenance=True))
    town.start()
    await town.clock.advance(3)
    town.states["gamma"] = "maintenance"  # of its entry nothing is known yet

    assert town.nodes["alpha"].resting() == {"beta"}
    assert town.nodes["gamma"].resting() == {"beta", "gamma"}


async def test_a_store_that_is_away_at_the_start_delays_the_entry_only(
    town: Town,
) -> None:
    town.net.cut_store("alpha")
    town.start()
    await town.clock.advance(5)
    assert "alpha" not in town.net.entries.entries
    assert town.nodes["alpha"].living() == set(NAMES)
    town.net.heal()
    await town.clock.advance(2)
    assert "alpha" in town.net.entries.entries


async def test_a_name_that_another_node_has_is_left_to_it(town: Town) -> None:
    twin = msgspec.structs.replace(entry("alpha"), id="id-twin", incarnation="twin")
    town.net.entries.set("alpha", twin)
    town.start()
    await town.clock.advance(1)
    other = Beat(
        node="alpha",
        id="id-twin",
        incarnation="twin",
        seq=1,
        url="",
        version="",
        state="running",
        health="healthy",
    )
    town.net.node("alpha").beats.hub.publish(other)
    await town.clock.advance(10)
    assert town.net.entries.entries["alpha"].value == twin
    assert set(town.told("node.impostor")) == {
        "alpha: another node calls itself alpha, as this one (id id-twin): not heard",
        "alpha: another node calls itself alpha (id id-alpha): not heard",
    }


async def test_a_name_of_a_node_that_is_no_more_is_taken_over(town: Town) -> None:
    twin = msgspec.structs.replace(entry("alpha"), id="id-twin", maintenance=True)
    town.net.entries.set("alpha", twin)
    town.start("alpha")
    await town.clock.advance(2)
    assert town.net.entries.entries["alpha"].value == twin
    await town.clock.advance(5)
    assert town.net.entries.entries["alpha"].value == entry("alpha")


async def test_a_node_alone_sends_nothing_and_is_single() -> None:
    alone = Town("alpha")
    alone.start()
    await alone.clock.advance(60)
    node = alone.nodes["alpha"]
    assert alone.net.node("alpha").beats.sent == []
    assert [each.role for each in node.view()] == ["single"]
    assert (node.living(), node.opinions(), node.disagreements()) == (
        {"alpha"},
        (),
        (),
    )
    assert alone.journal.kinds() == []
    assert alone.net.entries.entries["alpha"].value == entry("alpha")
    await node.stop()
    assert alone.net.node("alpha").beats.sent == []

    alone.lies = shape("alpha", "beta")
    await alone.clock.advance(1)
    assert alone.net.node("alpha").beats.sent
    alone.tasks["alpha"].cancel()


async def test_a_listener_hears_of_everything(town: Town) -> None:
    heard: list[tuple[str, str]] = []
    town.nodes["beta"].on_event(lambda event: heard.append((event.kind, event.node)))
    town.start()
    await town.clock.advance(5)
    town.kill("gamma")
    await town.clock.advance(5)
    assert heard[-2:] == [("suspect", "gamma"), ("dead", "gamma")]
