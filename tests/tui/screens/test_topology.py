"""Nodes and topology under the fingers."""

from collections import deque
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, strategies as st

from nexa_node.contract.errors import Conflict
from nexa_node.contract.events import ClusterChanged, Snapshot
from nexa_node.contract.nodes import Cluster
from nexa_tui.client.api import Received
from nexa_tui.screens.topology_layout import TABLE, heights
from tests.builders import NOW, node_status
from tests.tui import clusters
from tests.tui.scenes import AT, clustered
from tests.tui.screens.pilot import SMALL, TINY, USUAL, Hand, Stage

LARGE = (200, 60)


def stage(cluster: Cluster, home: Path, **options: object) -> Stage:
    return Stage(Received(clustered(cluster), AT), home=home, **options)  # pyright: ignore[reportArgumentType]


async def go(hand: Hand, *keys: str) -> None:
    await hand.press("2", *keys)


class TestSeen:
    @pytest.mark.parametrize("size", [USUAL, LARGE])
    async def test_all_of_a_cluster_at_once(
        self, tmp_path: Path, size: tuple[int, int]
    ) -> None:
        async with stage(clusters.THREE, tmp_path).open(size) as hand:
            await go(hand)
            await hand.until_seen(
                "3 of 3 vote, 2 needed", "margin 1", "controller beta",
                "Who hears whom", "If alpha stops", "Streams", "NX_TASKQ",
            )  # fmt: skip

    async def test_what_a_loss_does_follows_the_cursor(self, tmp_path: Path) -> None:
        async with stage(clusters.THREE, tmp_path).open(SMALL) as hand:
            await go(hand)
            await hand.until_seen("If alpha stops")
            await hand.press("j")
            await hand.until_seen("If beta stops", "a new controller")

    async def test_on_a_tiny_terminal_one_panel_after_the_other(
        self, tmp_path: Path
    ) -> None:
        async with stage(clusters.THREE, tmp_path).open(TINY) as hand:
            await go(hand)
            assert "Who hears whom" not in hand.seen()
            await hand.press("tab")
            await hand.until_seen("Who hears whom")
            await hand.press("tab")
            await hand.until_seen("Streams")
            await hand.press("shift+tab", "shift+tab")
            await hand.until_seen("Nodes")

    async def test_one_node_is_taught_how_to_get_more(self, tmp_path: Path) -> None:
        async with stage(clusters.ONE, tmp_path).open(SMALL) as hand:
            await go(hand)
            await hand.until_seen(
                "no tolerance", "nexa cluster join-token",
                "nexa node start --join TOKEN",
            )  # fmt: skip
            assert "Who hears whom" not in hand.seen()

    async def test_fifty_nodes_with_those_in_trouble_on_top(
        self, tmp_path: Path
    ) -> None:
        async with stage(clusters.FIFTY, tmp_path).open(SMALL) as hand:
            await go(hand)
            await hand.until_seen("49 of 50 vote", "r3-07 is down")
            assert hand.table.cursor == 0
            assert hand.table.line_count() == 50
            await hand.press("!")
            assert hand.table.line_count() == 7

    async def test_a_node_that_dies_while_it_is_looked_at(self, tmp_path: Path) -> None:
        on_stage = stage(clusters.THREE, tmp_path)
        async with on_stage.open() as hand:
            await go(hand, "G")
            await hand.until_seen("If gamma stops")
            told = clustered(clusters.LOST).cluster
            on_stage.tell(ClusterChanged(seq=1, time=NOW, cluster=told))
            await hand.until_seen("2 of 3 vote", "gamma is down", "✗ dead")
            on_stage.tell(ClusterChanged(seq=2, time=NOW, cluster=clusters.THREE))
            await hand.until_seen("3 of 3 vote", "If gamma stops")

    async def test_without_a_quorum_every_view_says_so(self, tmp_path: Path) -> None:
        async with stage(clusters.NO_QUORUM, tmp_path).open(SMALL) as hand:
            await go(hand)
            assert hand.seen().count("no quorum:") == 1
            await hand.press("4")
            await hand.until_seen("no quorum: what is shown may be old")


class TestKeys:
    async def test_a_panel_alone_and_all_again(self, tmp_path: Path) -> None:
        async with stage(clusters.SEVEN, tmp_path).open() as hand:
            await go(hand, "tab", "z")
            await hand.until(lambda: "Streams" not in hand.seen(), "one panel")
            assert "Who hears whom" in hand.seen()
            await hand.press("escape")
            await hand.until_seen("Streams", "Who hears whom")

    async def test_enter_opens_the_node_from_every_panel(self, tmp_path: Path) -> None:
        async with stage(clusters.THREE, tmp_path).open() as hand:
            await go(hand, "j", "enter")
            await hand.until_seen("Node beta", "if it stops", "its ways to the others")
            await hand.press("escape", "tab", "G", "enter")
            await hand.until_seen("Node gamma")
            await hand.press("escape", "tab", "enter")
            await hand.until_seen("Node")
            assert hand.where == "view-detail"

    async def test_the_row_and_the_line_of_a_node_go_together(
        self, tmp_path: Path
    ) -> None:
        from nexa_tui.widgets.topology_square import SquareView

        async with stage(clusters.THREE, tmp_path).open() as hand:
            await go(hand, "j", "j")
            square = hand.app.screen.query_one(SquareView)
            await hand.until(lambda: square.cursor_key == "gamma", "the same node")

    async def test_it_can_be_filtered_like_any_list(self, tmp_path: Path) -> None:
        async with stage(clusters.SEVEN, tmp_path).open() as hand:
            await go(hand, "/", *"role:leader", "enter")
            assert hand.table.line_count() == 1


class TestBeginning:
    async def test_a_demo_of_several_begins_here_and_announces(
        self, tmp_path: Path
    ) -> None:
        notes: deque[str] = deque(("kill -9 beta: 3 agents",))
        on_stage = stage(clusters.THREE, tmp_path, first="nodes", announced=notes)
        async with on_stage.open() as hand:
            await hand.until(lambda: hand.where == "view-nodes", "the first view")
            await hand.until_told("kill -9 beta: 3 agents")
            assert not notes


class TestDeeds:
    async def test_maintenance_begins_and_ends(self, tmp_path: Path) -> None:
        on_stage = stage(clusters.THREE, tmp_path)
        async with on_stage.open() as hand:
            await go(hand, "j", "M")
            await hand.until_seen("Maintenance of a node", "beta", "asked to move")
            await hand.press("tab", "enter")
            beta = clusters.THREE.nodes[1].id
            await hand.until(
                lambda: on_stage.node.asked == [("maintain", beta)], "asked"
            )
            await hand.until_told("beta goes into maintenance")

    async def test_a_node_in_maintenance_takes_work_again(self, tmp_path: Path) -> None:
        resting = clusters.cluster_of(3, nodes={"beta": {"state": "maintenance"}})
        on_stage = stage(resting, tmp_path)
        async with on_stage.open() as hand:
            await hand.press("2", "M")
            await hand.until_seen("End maintenance", "beta")
            await hand.press("tab", "enter")
            await hand.until(
                lambda: (
                    [verb for verb, _ in on_stage.node.asked] == ["end maintenance"]
                ),
                "asked",
            )

    async def test_striking_off_says_what_the_cluster_says_and_wants_the_name(
        self, tmp_path: Path
    ) -> None:
        told = clustered(clusters.LOST)
        on_stage = Stage(Received(admin(told), AT), home=tmp_path)
        async with on_stage.open() as hand:
            await hand.press("2", "X")
            await hand.until_seen("Strike a node off", "gamma", "made anew elsewhere")
            assert on_stage.node.asked == []
            await hand.press("left", *"gamma", "enter", "right", "enter")
            await hand.until(lambda: bool(on_stage.node.asked), "struck off")
            assert on_stage.node.asked[0][0] == "remove"

    async def test_a_refusal_is_told_before_anybody_is_asked(
        self, tmp_path: Path
    ) -> None:
        told = clustered(clusters.THREE)
        refusal = Conflict("alpha is alive", remedy="have it leave")
        on_stage = Stage(Received(admin(told), AT), home=tmp_path, refusal=refusal)
        async with on_stage.open() as hand:
            await hand.press("2", "X")
            await hand.until_told("alpha is alive; have it leave")
            await hand.press("J")
            await hand.until_told("alpha is alive; have it leave")

    async def test_an_operator_may_not_strike_off(self, tmp_path: Path) -> None:
        async with stage(clusters.LOST, tmp_path).open() as hand:
            await go(hand, "X")
            await hand.until_told("refused")

    async def test_a_token_is_shown_with_the_command_for_it(
        self, tmp_path: Path
    ) -> None:
        told = clustered(clusters.ONE)
        async with Stage(Received(admin(told), AT), home=tmp_path).open() as hand:
            await hand.press("2", "J")
            await hand.until_seen(
                "nexa node start --join-file -", "nxj1.recorded", "shown once"
            )


def admin(told: Snapshot) -> Snapshot:
    """The same picture for somebody who may do everything."""
    return msgspec.structs.replace(told, node=node_status(role="admin", agents=12))


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 15), st.integers(0, 30))
def test_the_lines_are_dealt_out_whole(
    room: int, nodes: int, told: int, streams: int
) -> None:
    dealt = heights(room, nodes=nodes, told=told, streams=streams)

    assert sum(dealt) == room
    assert dealt.nodes >= min(room, TABLE)
    assert dealt.streams == 0 or dealt.streams > TABLE
