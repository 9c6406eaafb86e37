"""What a cluster's facts mean: who leads, who lags, where nodes disagree, what a loss does."""

from typing import Any

import pytest
from hypothesis import given, strategies as st

from nexa_node.contract.nodes import Cluster, Quorum, Route, StreamPlace
from nexa_tui.state.topology import topology, troubled, versions
from nexa_tui.state.topology_loss import growing, loss, loss_sentences, names, one_more
from nexa_tui.state.topology_matrix import MIDDLE, THIN, WIDE, square
from nexa_tui.state.topology_told import findings, seen_words, standing_line
from tests.builders import agent, node
from tests.tui import clusters


def told(cluster: Cluster) -> list[str]:
    return [one.text for one in findings(topology(cluster))]


def sentences(cluster: Cluster, name: str, *agents: Any) -> list[str]:
    found = loss(topology(cluster), agents, name)
    assert found is not None
    return [one.text for one in loss_sentences(found)]


class TestReading:
    def test_a_whole_cluster_has_nothing_wrong(self) -> None:
        view = topology(clusters.THREE)

        assert findings(view) == []
        assert view.margin == 1
        assert view.islands == (("alpha", "beta", "gamma"),)
        assert not any(part.wrong for part in view.parts)
        assert [part.controller for part in view.parts] == [False, True, False]

    def test_leads_copies_and_lag_are_counted_per_node(self) -> None:
        gamma = topology(clusters.SEVEN).part("gamma")

        assert gamma is not None
        assert gamma.behind == ("NX_TASKQ", "KV_nx_tasks")
        assert gamma.lag == 1292
        assert "KV_nx_nodes" in gamma.leads

    def test_nodes_that_disagree_are_named_with_what_they_think(self) -> None:
        zeta = topology(clusters.SEVEN).part("zeta")

        assert zeta is not None
        assert zeta.seen.disputed
        assert seen_words(zeta) == ("disputed", "warn")
        assert told(clusters.SEVEN)[0] == (
            "they disagree on zeta: alpha, gamma, epsilon and eta hear it;"
            " beta: suspect, no word for 2.10 s; delta: dead, no word for 3.40 s"
        )

    def test_the_dead_are_not_asked_what_they_think(self) -> None:
        beta = topology(clusters.LOST).part("beta")

        assert beta is not None
        assert [one.by for one in beta.seen.trusts] == ["alpha"]
        assert beta.seen.doubts == ()

    def test_all_suspecting_one_is_no_dispute(self) -> None:
        doubts = {(by, "gamma"): ("suspect", 1600.0) for by in ("alpha", "beta")}
        cluster = clusters.cluster_of(3, doubts=doubts)

        assert told(cluster) == [
            "gamma is suspected: alpha: suspect, no word for 1.60 s"
        ]

    def test_a_cut_is_told_once_and_not_as_many_disputes(self) -> None:
        assert told(clusters.CUT) == [
            (
                "cut in 2: alpha, beta and gamma (can write) |"
                " delta and epsilon (cannot write)"
            )
        ]

    def test_a_slow_way_is_slow_beside_the_others(self) -> None:
        view = topology(clusters.SEVEN)

        assert [way.pair for way in view.ways.values() if way.slow] == [
            ("alpha", "eta"),
            ("beta", "eta"),
        ]
        far = clusters.cluster_of(3, slow={
            ("alpha", "beta"): 60.0, ("alpha", "gamma"): 61.0, ("beta", "gamma"): 64.0,
        })  # fmt: skip
        assert not any(way.slow for way in topology(far).ways.values())

    @pytest.mark.parametrize(("rtt", "slow"), [(40.0, False), (130.0, True)])
    def test_the_only_way_is_slow_by_itself(self, rtt: float, slow: bool) -> None:
        two = clusters.cluster_of(2, slow={("alpha", "beta"): rtt})

        assert topology(two).ways["alpha", "beta"].slow is slow

    def test_what_waits_to_be_sent_makes_a_way_slow(self) -> None:
        routes = tuple(
            Route(node="alpha", peer=peer, rtt_ms=0.5, pending_bytes=waits)
            for peer, waits in (("beta", 3_000_000), ("gamma", 0))
        )
        cluster = clusters.cluster_of(3, routes=routes)

        assert "2.86 MiB wait to be sent" in told(cluster)[1]
        assert "no route between beta and gamma" in told(cluster)[0]

    def test_opinions_stand_in_where_no_route_is_told(self) -> None:
        view = topology(clusters.cluster_of(3, routes=()))

        assert view.ways["alpha", "beta"].rtt_ms is not None
        assert view.missing == frozenset()

    def test_streams_in_trouble_stand_first_those_without_a_leader_before_all(
        self,
    ) -> None:
        cluster = clusters.cluster_of(
            3, headless=("NX_DLQ",), lags={("beta", "NX_TOPIC"): 4}
        )

        assert [one.name for one in troubled(cluster.streams)] == ["NX_DLQ", "NX_TOPIC"]
        assert told(cluster) == [
            "NX_DLQ has no leader: writes to it wait",
            "beta lags: NX_TOPIC, 4 operations",
        ]

    def test_versions_that_differ_are_told(self) -> None:
        cluster = clusters.cluster_of(3, nodes={"beta": {"version": "0.0.9"}})

        assert "versions differ: 0.1.0 on alpha and gamma, 0.0.9 on beta" in told(
            cluster
        )
        assert next(iter(versions(cluster.nodes))) == "0.1.0"

    def test_a_verdict_that_nothing_here_explains_gives_its_own_reasons(self) -> None:
        cluster = clusters.cluster_of(3, verdict="degraded", reasons=("disk is full",))

        assert told(cluster) == ["disk is full"]

    def test_even_numbers_are_told_what_one_more_is_good_for(self) -> None:
        assert "any 1 of 3 may stop" in told(clusters.TWO)[-1]
        assert one_more(3) is None
        assert one_more(4) is not None

    def test_the_line_says_votes_margin_offices_and_streams(self) -> None:
        def line(cluster: Cluster) -> str:
            return "".join(text for text, _ in standing_line(topology(cluster)))

        assert line(clusters.THREE) == (
            "✓ HEALTHY   ■■■ 3 of 3 vote, 2 needed   margin 1   controller beta"
            "   streams 11 in step   copies 3"
        )
        assert "■□□ 1 of 3 vote, 2 needed   NO QUORUM: 1 missing" in line(
            clusters.NO_QUORUM
        )
        assert "controller nobody" in line(clusters.NO_QUORUM)
        assert "no tolerance" in line(clusters.ONE)
        assert "49 of 50 vote" in line(clusters.FIFTY)
        assert "11 a copy short" in line(clusters.LOST)


class TestLoss:
    def test_an_ordinary_node(self) -> None:
        agents = [agent(f"a{n}", node="beta", inflight=n) for n in range(3)]

        assert sentences(clusters.THREE, "beta", *agents) == [
            "margin 0: 2 of 3 left, 2 needed; then no other may stop",
            "KV_nx_tasks, NX_EVENTS and 2 more elect anew: writes wait 4 to 9 s",
            "3 agents move to other nodes",
            "3 tasks in hand go on if their agents are back in time, else are tried again",
            "a new controller within 5 s",
        ]

    def test_the_one_that_breaks_the_quorum(self) -> None:
        found = loss(topology(clusters.LOST), (), "beta")

        assert found is not None
        assert found.breaks
        assert loss_sentences(found)[0].text == (
            "QUORUM BREAKS: 1 of 3 left, 2 needed; every write stops"
        )
        assert len(found.stops) == 11

    def test_an_only_copy_is_away_with_its_node(self) -> None:
        cluster = clusters.cluster_of(3, copies=1)

        assert any("the only copy" in one for one in sentences(cluster, "alpha"))

    def test_one_that_is_down_already_says_how_to_get_it_back(self) -> None:
        found = sentences(clusters.LOST, "gamma")

        assert found[0] == "without it: 2 of 3 vote, 2 needed; no other may stop"
        assert "  nexa node start --name gamma" in found
        assert "  nexa cluster remove gamma" in found

    def test_without_a_quorum_nothing_more_breaks(self) -> None:
        found = loss(topology(clusters.NO_QUORUM), (), "alpha")

        assert found is not None
        assert not found.breaks
        texts = [one.text for one in loss_sentences(found)]
        assert texts[0].startswith("no quorum already")
        assert "12 agents wait until a node is back" in texts

    def test_the_only_node(self) -> None:
        found = sentences(clusters.ONE, "alpha")

        assert found[0].startswith("everything waits until it is back")
        assert "12 agents come back by themselves" in found
        assert [one.text.strip() for one in growing(1)][2:] == [
            "here   nexa cluster join-token",
            "there  nexa node start --join TOKEN",
        ]

    def test_a_node_nobody_knows(self) -> None:
        assert loss(topology(clusters.THREE), (), "omega") is None

    @given(st.integers(2, 9), st.data())
    def test_a_loss_breaks_exactly_when_too_few_voters_are_left(
        self, number: int, data: st.DataObject
    ) -> None:
        every = clusters.names_of(number)
        down = data.draw(st.sets(st.sampled_from(every), max_size=number - 1))
        left = [one for one in every if one not in down]
        cluster = clusters.cluster_of(number, down=down, streams=())
        found = loss(topology(cluster), (), left[0])

        assert found is not None
        had = len(left) >= number // 2 + 1
        has = len(left) - 1 >= number // 2 + 1
        assert found.breaks is (had and not has)
        assert (found.margin >= 0) is has


class TestSquare:
    def test_figures_where_there_is_room_signs_where_there_is_not(self) -> None:
        view = topology(clusters.SEVEN)
        for width, cell in ((80, WIDE), (50, MIDDLE), (24, THIN)):
            drawn = square(view, width)
            label = len(drawn.header[0][0])
            length = sum(len(text) for text, _ in drawn.rows[0][1])

            assert length - label == 7 * cell
            assert length <= width

    def test_a_doubt_stands_in_its_row_and_column(self) -> None:
        drawn = square(topology(clusters.SEVEN), 80)
        rows = {name: "".join(text for text, _ in line) for name, line in drawn.rows}

        assert rows["beta"].endswith("suspect")
        assert rows["delta"].endswith("✗ dead")
        assert "48 ms" in rows["alpha"]

    def test_the_dead_say_nothing(self) -> None:
        drawn = square(topology(clusters.LOST), 60, ascii_only=True)
        rows = {name: "".join(text for text, _ in line) for name, line in drawn.rows}

        assert rows["gamma"].split() == ["gamma", "-"]
        assert rows["alpha"].endswith("x dead")

    def test_fifty_fit_and_those_in_trouble_stand_first(self) -> None:
        drawn = square(topology(clusters.FIFTY), 56)

        assert drawn.hidden == 0
        assert len(drawn.rows) == 50
        first = {name for name, _ in drawn.rows[:7]}
        assert {"r3-07", "r4-02", "r2-08", "r1-03"} <= first
        assert square(topology(clusters.FIFTY), 30).hidden > 20

    @given(st.integers(1, 60), st.integers(8, 200))
    def test_no_line_is_wider_than_its_place(self, number: int, width: int) -> None:
        drawn = square(topology(clusters.cluster_of(number)), width)
        for _, line in drawn.rows:
            assert sum(len(text) for text, _ in line) <= max(width, 6)


def test_a_stream_without_copies_harms_nobody() -> None:
    cluster = clusters.cluster_of(
        3, streams=(StreamPlace(name="NX", leader=None, replicas=()),)
    )

    assert sentences(cluster, "alpha")
    assert told(cluster) == ["NX has no leader: writes to it wait"]


def test_a_cluster_of_which_little_is_known() -> None:
    view = topology(Cluster(
        name="x", verdict="unknown", reasons=(), controller=None,
        quorum=Quorum(have=0, need=1), nodes=(node("alpha"), node("beta", id="n2")),
    ))  # fmt: skip

    assert [part.seen.word for part in view.parts] == [None, None]
    assert view.ways == {}
    assert findings(view)


def test_names_are_counted_where_they_are_many() -> None:
    assert names(()) == ""
    assert names(("a",)) == "a"
    assert names(("a", "b", "c")) == "a, b and c"
    assert names("abcdef") == "a, b and 4 more"
