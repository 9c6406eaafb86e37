"""`nexa cluster …` against a port: what is said, what is asked first, what is sent."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nexa_node.contract.cluster import ClusterChange, Growth, JoinToken
from nexa_node.contract.errors import Conflict, Unavailable
from nexa_node.contract.rest import Page
from nexa_node.contract.tasks import Queue
from nexa_tui.client.discovery import Target
from tests.builders import node_status
from tests.tui import clusters
from tests.tui.served import Port, Said, Terminal, port, say

TOKEN = JoinToken(
    token="nxj1.aaaa.bbbb.cccc", expires=datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
)
PLANNED = ClusterChange(
    done=False,
    what="gamma would be struck off",
    effects=("11 streams get their copy on gamma made anew elsewhere",),
)
DONE = ClusterChange(done=True, what="gamma was struck off")


@pytest.fixture
def there() -> Iterator[Port]:
    with port() as made:
        made.answers |= {
            "GET /v1/cluster": clusters.THREE,
            "GET /v1/node": node_status(id=clusters.THREE.nodes[0].id),
            "GET /v1/queues": Page[Queue](items=()),
        }
        yield made


@pytest.fixture
def tell(there: Port, tmp_path: Path) -> Any:
    def told(*words: str, terminal: bool = False) -> Said:
        return say(tmp_path, there.url, *words, terminal=terminal)

    return told


def answering(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person at a terminal types that."""
    monkeypatch.setattr("sys.stdin", Terminal(text))


class TestStatus:
    def test_a_whole_cluster_is_told_in_a_few_lines(self, tell: Any) -> None:
        said = tell("cluster", "status")

        assert said.code == 0
        assert "prod is healthy" in said.out
        assert "quorum 3 of 2 needed, margin 1" in said.out
        assert "3 copies of everything, 1 may be lost at once" in said.out
        assert "follower, controller" in said.out
        assert "11 of 11 streams have a leader and every copy in step" in said.out

    def test_what_is_wrong_comes_first(self, there: Port, tell: Any) -> None:
        there.answers["GET /v1/cluster"] = clusters.SEVEN
        said = tell("cluster", "status")

        lines = said.out.splitlines()
        assert "they disagree on zeta" in lines[1]
        assert "gamma lags: NX_TASKQ and 1 more, 1,292 operations" in said.out
        assert "slow way beta - eta: 51 ms" in said.out
        assert "disputed" in said.out
        assert "gamma (1204 behind)" in said.out

    def test_without_a_quorum_it_is_unhealthy_and_stale(
        self, there: Port, tell: Any
    ) -> None:
        there.answers["GET /v1/cluster"] = clusters.NO_QUORUM
        said = tell("cluster", "status")

        assert said.code == 1
        assert "STALE: without a quorum this may be old" in said.out
        assert "none: writes wait" in said.out

    def test_json_is_the_contracts(self, tell: Any) -> None:
        told = tell("cluster", "status", "--json").json()

        assert {"name", "verdict", "reasons", "controller", "quorum", "nodes"} <= set(
            told
        )
        assert {"id", "name", "url", "state", "health", "role", "agents", "rtt_ms"} <= (
            set(told["nodes"][0])
        )
        assert told["streams"][0]["replicas"][0]["node"] == "alpha"

    def test_opinions_and_the_loss_of_a_node_on_request(self, tell: Any) -> None:
        said = tell("cluster", "status", "--opinions", "--loss", "beta", "--streams")

        assert "alpha hears it, 0.8 ms" in said.out
        assert "If beta stops" in said.out
        assert "margin 0: 2 of 3 left, 2 needed" in said.out
        assert "NX_TOPIC" in said.out
        assert "no node nobody" in tell("cluster", "status", "--loss", "nobody").err

    def test_one_node_is_told_how_to_get_another(self, there: Port, tell: Any) -> None:
        there.answers["GET /v1/cluster"] = clusters.ONE
        said = tell("cluster", "status")

        assert "nexa cluster join-token, then there: nexa node start --join" in said.err


class TestJoinToken:
    def test_the_token_is_alone_on_stdout(self, there: Port, tell: Any) -> None:
        there.answers["POST /v1/cluster/join-tokens"] = TOKEN
        said = tell("cluster", "join-token", "--expires", "10m")

        assert said.out == "nxj1.aaaa.bbbb.cccc\n"
        assert "until 12:30 UTC" in said.err
        assert there.asked == [("POST /v1/cluster/join-tokens", {"expires_s": 600})]

    def test_as_json(self, there: Port, tell: Any) -> None:
        there.answers["POST /v1/cluster/join-tokens"] = TOKEN
        told = tell("cluster", "join-token", "--json").json()

        assert set(told) == {"token", "expires"}
        assert there.asked[0][1] == {"expires_s": 1800}


class TestChanges:
    def test_nothing_is_done_unless_somebody_can_be_asked(
        self, there: Port, tell: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO())
        there.answers["POST /v1/nodes/gamma/remove"] = PLANNED
        said = tell("cluster", "remove", "gamma")

        assert said.code == 1
        assert "gamma would be struck off; 11 streams" in said.err
        assert "--yes" in said.err
        assert [line for line, _ in there.asked] == [
            "POST /v1/nodes/gamma/remove?dry_run=true"
        ]

    @pytest.mark.parametrize(("typed", "done"), [("y\n", True), ("\n", False)])
    def test_a_person_is_told_the_effects_and_asked(
        self,
        there: Port,
        tell: Any,
        monkeypatch: pytest.MonkeyPatch,
        typed: str,
        done: bool,
    ) -> None:
        answering(typed, monkeypatch)
        there.answers |= {
            "POST /v1/nodes/gamma/remove?dry_run=true": PLANNED,
            "POST /v1/nodes/gamma/remove": DONE,
        }
        said = tell("cluster", "remove", "gamma")

        assert "11 streams get their copy on gamma" in said.err
        assert said.code == (0 if done else 1)
        assert len(there.asked) == (2 if done else 1)
        assert ("gamma was struck off" in said.out) is done

    def test_yes_asks_nobody_and_plans_nothing(self, there: Port, tell: Any) -> None:
        there.answers["POST /v1/cluster/leave"] = DONE
        told = tell("cluster", "leave", "--yes", "--json").json()

        assert told["done"] is True
        assert there.asked == [("POST /v1/cluster/leave", None)]

    def test_a_dry_run_only_says(self, there: Port, tell: Any) -> None:
        there.answers["POST /v1/cluster/leave"] = PLANNED
        said = tell("cluster", "leave", "--dry-run", "--yes")

        assert "11 streams" in said.out
        assert there.asked == [("POST /v1/cluster/leave?dry_run=true", None)]

    def test_a_name_cannot_leave_its_place_in_the_path(
        self, there: Port, tell: Any
    ) -> None:
        tell("cluster", "remove", "../x?y", "--yes")

        assert there.asked[0][0] == "POST /v1/nodes/..%2Fx%3Fy/remove"

    def test_a_refusal_is_the_nodes_own(self, there: Port, tell: Any) -> None:
        there.answers["POST /v1/nodes/beta/remove"] = Conflict(
            "beta is alive", remedy="have it leave"
        )
        said = tell("cluster", "remove", "beta", "--yes")

        assert said.code == 1
        assert said.err == "nexa: beta is alive — mend: have it leave\n"


class TestReplicas:
    BEGUN = ClusterChange(
        done=True,
        what="3 copies of everything",
        growth=Growth(action="replicas", phase="begun"),
    )

    def test_it_waits_until_the_copies_are_there(self, there: Port, tell: Any) -> None:
        there.answers |= {
            "POST /v1/cluster/replicas": self.BEGUN,
            "GET /v1/cluster/growth": [
                Growth(action="replicas", phase="copy", done=3, total=11),
                Growth(action="replicas", phase="done", done=11, total=11),
            ],
        }
        said = tell("cluster", "replicas", "3", "--yes", terminal=True)

        assert said.code == 0
        assert said.out == "3 copies of everything\n"
        assert "replicas copy  [######..................] 3 of 11" in said.err
        assert there.asked == [("POST /v1/cluster/replicas", {"copies": 3})]

    def test_off_a_terminal_it_is_quiet(self, there: Port, tell: Any) -> None:
        there.answers |= {
            "POST /v1/cluster/replicas": self.BEGUN,
            "GET /v1/cluster/growth": Growth(action="replicas", phase="done"),
        }
        said = tell("cluster", "replicas", "3", "--yes", "--json")

        assert said.err == ""
        assert said.json()["growth"]["phase"] == "done"

    @pytest.mark.parametrize(
        ("growth", "words"),
        [
            (
                Growth(action="replicas", phase="failed", error="beta is full",
                       remedy="free space on beta"),
                "replicas: beta is full — mend: free space on beta",
            ),
            (
                Growth(action="replicas", phase="rolled_back", detail="beta went away"),
                "rolled back, nothing is changed: beta went away",
            ),
        ],
    )  # fmt: skip
    def test_a_failure_is_told_with_what_mends_it(
        self, there: Port, tell: Any, growth: Growth, words: str
    ) -> None:
        there.answers |= {
            "POST /v1/cluster/replicas": self.BEGUN,
            "GET /v1/cluster/growth": growth,
        }
        said = tell("cluster", "replicas", "3", "--yes")

        assert said.code == 1
        assert words in said.err

    def test_it_need_not_wait(self, there: Port, tell: Any) -> None:
        there.answers["POST /v1/cluster/replicas"] = self.BEGUN

        assert tell("cluster", "replicas", "3", "--yes", "--no-wait").code == 0

    def test_other_numbers_are_refused_here(self, there: Port, tell: Any) -> None:
        assert tell("cluster", "replicas", "2").code == 2
        assert there.asked == []


class TestScale:
    def test_without_a_number_it_advises(self, there: Port, tell: Any) -> None:
        there.answers["GET /v1/queues"] = Page[Queue](
            items=(
                Queue(
                    name="wc",
                    namespace="default",
                    pending=7,
                    by_priority={"normal": 7},
                    delayed=0,
                    dead_lettered=0,
                    strategy="least_loaded",
                    agents=0,
                    running=0,
                    slots=0,
                    free_slots=0,
                    oldest_wait_s=40.0,
                ),
            )
        )
        said = tell("cluster", "scale")

        assert "prod: 3 nodes, 3 copies of everything, any 1 may stop" in said.out
        assert "with 5 nodes any 2 may stop: nexa cluster scale 5" in said.out
        assert "more agents for wc: 7 tasks wait and no agent can do them" in said.out

    def test_more_nodes_are_tokens_and_commands(self, there: Port, tell: Any) -> None:
        there.answers["POST /v1/cluster/join-tokens"] = TOKEN
        said = tell("cluster", "scale", "5")

        assert said.out.count("nexa node start --join nxj1.aaaa.bbbb.cccc") == 2
        assert len(there.asked) == 2

    def test_fewer_nodes_leave_one_by_one_the_least_first(
        self, there: Port, tell: Any
    ) -> None:
        five = clusters.cluster_of(5, controller="alpha")
        going = five.nodes[4]
        moved = [
            msgspec.structs.replace(one, url=there.url if one is going else one.url)
            for one in five.nodes
        ]
        there.answers |= {
            "GET /v1/cluster": [
                msgspec.structs.replace(five, nodes=tuple(moved)),
                msgspec.structs.replace(five, nodes=tuple(moved[:4])),
            ],
            "POST /v1/cluster/leave": DONE,
        }
        said = tell("cluster", "scale", "4", "--yes", "--json")

        assert said.json()["steps"] == ["epsilon leaves in order"]
        assert said.json()["notes"] == ["4 nodes survive no more losses than 3"]
        assert [line for line, _ in there.asked] == ["POST /v1/cluster/leave"]

    def test_more_nodes_here_are_started_and_joined(
        self, there: Port, tell: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        started: list[tuple[Any, Any]] = []

        def start(_environ: Any, *, flags: Any, stdin: bytes, **_: Any) -> Target:
            started.append((flags, stdin))
            there.answers["GET /v1/cluster"] = clusters.cluster_of(3 + len(started))
            return Target(url="http://127.0.0.1:7", token=None, name="x", source="")

        monkeypatch.setattr("nexa_tui.commands.cluster_scale.start_node", start)
        there.answers["POST /v1/cluster/join-tokens"] = TOKEN
        told = tell("cluster", "scale", "5", "--here", "--yes", "--json").json()

        assert told["done"] is True
        assert told["tokens"] == []
        names = [flags[1] for flags, _ in started]
        assert names == ["node-4", "node-5"]
        assert {stdin for _, stdin in started} == {TOKEN.token.encode()}
        assert all(TOKEN.token not in " ".join(flags) for flags, _ in started)

    def test_the_dead_are_struck_off_after_asking(
        self, there: Port, tell: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        five = clusters.cluster_of(5, down=("delta",))
        delta = five.nodes[3].id
        there.answers |= {
            "GET /v1/cluster": five,
            f"POST /v1/nodes/{delta}/remove": DONE,
        }
        answering("y\n", monkeypatch)
        said = tell("cluster", "scale", "4", terminal=True)

        assert said.code == 0
        assert "scale prod from 5 to 4 nodes" in said.err
        assert "delta is dead: struck off" in said.out
        assert [line for line, _ in there.asked] == [f"POST /v1/nodes/{delta}/remove"]

    def test_a_dry_run_changes_nothing(self, there: Port, tell: Any) -> None:
        said = tell("cluster", "scale", "5", "--dry-run")

        assert "2 more, to be started elsewhere" in said.out
        assert there.asked == []

    def test_one_that_does_not_leave_stops_the_rest(
        self, there: Port, tell: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("nexa_tui.commands.cluster_scale._GONE_S", 0.0)
        five = clusters.cluster_of(5)
        there.answers |= {
            "GET /v1/cluster": msgspec.structs.replace(
                five,
                nodes=tuple(
                    msgspec.structs.replace(one, url=there.url) for one in five.nodes
                ),
            ),
            "POST /v1/cluster/leave": DONE,
        }
        said = tell("cluster", "scale", "3", "--yes")

        assert said.code == 1
        assert "has not left after" in said.err
        assert len(there.asked) == 1

    def test_fewer_than_the_copies_is_refused(self, there: Port, tell: Any) -> None:
        said = tell("cluster", "scale", "1")

        assert said.code == 1
        assert "nexa cluster replicas 1, then again" in said.err
        assert there.asked == []


class TestNode:
    def test_maintenance_of_this_node_and_of_another(
        self, there: Port, tell: Any
    ) -> None:
        alpha, beta = (one.id for one in clusters.THREE.nodes[:2])
        there.answers |= {
            f"POST /v1/nodes/{alpha}/maintenance": None,
            f"POST /v1/nodes/{beta}/maintenance": None,
        }
        on = tell("node", "maintenance", "on", "beta")
        off = tell("node", "maintenance", "off", "--json")

        assert "beta takes nothing new" in on.out
        assert off.json() == {"id": alpha, "name": "alpha", "state": "running"}
        assert there.asked == [
            (f"POST /v1/nodes/{beta}/maintenance", {"on": True}),
            (f"POST /v1/nodes/{alpha}/maintenance", {"on": False}),
        ]

    def test_a_node_that_is_not_there(self, tell: Any) -> None:
        said = tell("node", "maintenance", "on", "omega")

        assert said.code == 5
        assert "it has alpha, beta, gamma" in said.err

    def test_draining_asks_only_where_writes_would_stop(
        self, there: Port, tell: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO())
        beta = clusters.THREE.nodes[1].id
        there.answers[f"POST /v1/nodes/{beta}/drain"] = None
        well = tell("node", "drain", "beta")
        there.answers["GET /v1/cluster"] = clusters.LOST
        breaking = tell("node", "drain", "beta")
        meant = tell("node", "drain", "beta", "--yes")

        assert (well.code, breaking.code, meant.code) == (0, 1, 0)
        assert "QUORUM BREAKS: 1 of 3 left, 2 needed" in breaking.err
        assert len(there.asked) == 2


def test_an_unreachable_cluster_says_so(there: Port, tell: Any) -> None:
    there.answers["GET /v1/cluster"] = Unavailable("no quorum", remedy="start another")

    assert tell("cluster", "status").code == 1
