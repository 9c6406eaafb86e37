"""The demo's nodes and its failover, against ports instead of nodes."""

import argparse
import itertools
import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nexa_node.contract.errors import NexaError, Unavailable
from nexa_node.contract.nodes import Cluster, NodeStatus
from nexa_tui.client.discovery import Target
from nexa_tui.commands import demo, demo_nodes
from nexa_tui.commands.demo_failover import Failover, announcement
from nexa_tui.commands.demo_nodes import Nodes
from tests.builders import node_status
from tests.tui import clusters
from tests.tui.served import Port, port, say


def target(name: str, url: str) -> Target:
    return Target(url=url, token="t", name=name, source="a test")


@pytest.fixture
def ports() -> Iterator[list[Port]]:
    with port() as one, port() as two, port() as three:
        yield [one, two, three]


@pytest.fixture
def nodes(ports: list[Port]) -> Nodes:
    made = Nodes({}, 3)
    for name, at in zip(made.names, ports, strict=True):
        made.targets[name] = target(name, at.url)
        at.answers["GET /v1/node"] = node_status(name=name)
        at.answers["GET /v1/cluster"] = clusters.THREE
    return made


def who(nodes: Nodes, **more: Any) -> str:
    return nodes.call(lambda node: node.get("/v1/node", NodeStatus), **more).name


class TestCalls:
    def test_they_go_to_the_first_that_is_up(self, nodes: Nodes) -> None:
        assert who(nodes) == "alpha"
        nodes.down.add("alpha")
        assert who(nodes) == "beta"

    def test_one_that_cannot_now_is_passed_over(
        self, nodes: Nodes, ports: list[Port]
    ) -> None:
        ports[0].answers["GET /v1/node"] = Unavailable("no leader")

        assert who(nodes) == "beta"

    def test_nobody_in_time_is_an_error(self, nodes: Nodes, ports: list[Port]) -> None:
        for at in ports:
            at.answers["GET /v1/node"] = Unavailable("no quorum")
        with pytest.raises(Unavailable, match="no quorum"):
            who(nodes, patience_s=0.0)

    def test_agents_begin_at_different_nodes_and_know_all(
        self, nodes: Nodes, ports: list[Port]
    ) -> None:
        one, two, three = (at.url for at in ports)

        assert nodes.urls(0) == f"{one} {two} {three}"
        assert nodes.urls(4) == f"{two} {three} {one}"


class TestInStep:
    def test_all_is_awaited_and_told(
        self, nodes: Nodes, ports: list[Port], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(demo_nodes, "_BEAT_S", 0.001)
        ports[0].answers["GET /v1/cluster"] = [
            clusters.cluster_of(2),
            clusters.cluster_of(3, copies=1),
            clusters.cluster_of(3, headless=("NX_DLQ",)),
            clusters.cluster_of(3, lags={("beta", "NX_DLQ"): 7}),
            clusters.THREE,
        ]
        told: list[str] = []

        assert nodes.wait_in_step(told.append) == clusters.THREE
        assert told == [
            "2 of 3 nodes are running",
            "not everything has three copies yet",
            "1 streams have no leader",
            "1 copies are behind",
        ]

    def test_not_for_ever(
        self, nodes: Nodes, ports: list[Port], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(demo_nodes, "_IN_STEP_S", 0.0)
        ports[0].answers["GET /v1/cluster"] = clusters.TWO
        with pytest.raises(NexaError, match="2 of 3 nodes are running"):
            nodes.wait_in_step(lambda _: None)


class Spared(Nodes):
    """Nodes that are killed and healed on paper."""

    def __init__(self, seen: Cluster) -> None:
        super().__init__({}, 3)
        self.seen = seen
        self.done: list[str] = []
        self.error: NexaError | None = None

    def call(self, ask: Any, *, patience_s: float = 0.0) -> Any:
        return self.seen

    def kill(self, name: str) -> None:
        self.done.append(f"kill {name}")

    def heal(self, name: str) -> None:
        if self.error is not None:
            raise self.error
        self.done.append(f"heal {name}")

    def wait_in_step(self, say: Any) -> Cluster:
        return self.seen


class TestFailover:
    @pytest.fixture(autouse=True)
    def _at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("nexa_tui.commands.demo_failover.DOWN_S", 0.0)

    def failover(self, seen: Cluster, spare: str | None = None) -> Failover:
        return Failover(Spared(seen), random.Random(1), spare=spare)

    def test_one_after_the_other_each_healed_and_never_twice_the_same(self) -> None:
        at_work = self.failover(clusters.THREE)
        for elapsed in range(200):
            at_work.beat(float(elapsed))
            at_work.wait()
        done = at_work._nodes.done  # type: ignore[attr-defined]
        killed = [word.split()[1] for word in done if word.startswith("kill")]

        assert at_work.kills == at_work.heals == len(killed) == 9
        assert all(one != other for one, other in itertools.pairwise(killed))
        assert any("is back and in step after" in note for note in at_work.notes)

    def test_what_a_person_looks_through_is_spared(self) -> None:
        at_work = self.failover(clusters.THREE, spare="alpha")
        for elapsed in range(200):
            at_work.beat(float(elapsed))
            at_work.wait()

        done = at_work._nodes.done  # type: ignore[attr-defined]
        assert not any("alpha" in word for word in done)

    def test_nobody_is_killed_where_it_would_cost_the_quorum(self) -> None:
        at_work = self.failover(clusters.LOST)
        at_work.beat(100.0)

        assert at_work.kills == 0
        assert list(at_work.notes) == ["nobody is killed: it would cost the quorum"]

    def test_one_that_does_not_come_back_ends_it(self) -> None:
        at_work = self.failover(clusters.THREE)
        at_work._nodes.error = NexaError("its disk is full")  # type: ignore[attr-defined]
        at_work.beat(100.0)
        at_work.wait()

        assert at_work.failed is not None
        assert "does not come back: its disk is full" in at_work.notes[-1]
        at_work.beat(200.0)
        assert at_work.kills == 1

    def test_what_is_hit_is_announced(self) -> None:
        assert announcement(clusters.THREE, "beta") == (
            "kill -9 beta: 3 agents, leads 4 streams, controller"
        )
        assert announcement(clusters.THREE, "omega") == "kill -9 omega"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--nodes", "0"), "a demo has 1 to 9 nodes"),
        (("--nodes", "2", "--scenario", "failover"), "none may be lost"),
        (("--agents", "0"), "needs an agent"),
    ],
)
def test_demos_that_make_no_sense(
    tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    said = say(tmp_path, "http://127.0.0.1:1", "demo", "--headless", *words)

    assert said.code == 1
    assert told in said.err


def test_what_the_console_writes_after_the_crews_end_goes_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    options = argparse.Namespace(agents=1, scenario="calm", nodes=1)
    monkeypatch.setattr(sys, "executable", shutil.which("true"))
    with demo._crew(  # pyright: ignore[reportPrivateUsage]  # the console in between needs a terminal
        options, {"NEXA_HOME": str(home)}, watched=True
    ) as crew:
        crew.wait()
        (home / "state").mkdir(parents=True)

    assert not home.exists()
