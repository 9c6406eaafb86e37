"""All clusters at one look, and turning from one to another."""

from pathlib import Path

from nexa_node.contract.errors import Unavailable
from nexa_node.contract.nodes import Cluster
from nexa_tui.client.contexts import Context, keep_context
from nexa_tui.state.clusters import CLUSTERS, ClusterRow, cluster_lines, once_each
from nexa_tui.state.listing import Look
from tests.builders import cluster, node
from tests.tui import alarms
from tests.tui.screens.pilot import SMALL, Stage


def known(home: Path, *names: str) -> None:
    for name in names:
        keep_context(
            {"NEXA_HOME": str(home)},
            name,
            Context(url=f"http://{name}.example:6392", production=name == "prod"),
            "nxa_token",
        )


async def test_every_context_is_asked_and_enter_turns_to_it(tmp_path: Path) -> None:
    known(tmp_path, "prod", "staging")
    stage = Stage(home=tmp_path)
    async with stage.open() as hand:
        await hand.press("0")
        await hand.until(lambda: len(hand.rows()) == 2)
        await hand.until_seen("PRODUCTION", "staging")
        assert hand.rows() == ["context:prod", "context:staging"]

        await hand.press("enter")
        await hand.until(lambda: hand.where == "view-overview")
        assert stage.node.target.name == "prod"
        assert stage.node.target.production
        await hand.until_seen("PRODUCTION")
        asked = [one for one in stage.nodes if one.target.name == "staging"]
        assert len(asked) == 1


async def test_what_destroys_says_that_it_is_production(tmp_path: Path) -> None:
    known(tmp_path, "prod")
    stage = Stage(home=tmp_path, node=False, context="prod")
    async with stage.open(SMALL) as hand:
        await hand.until_seen("PRODUCTION")
        await hand.press("3", "D")
        await hand.until_seen("This is PRODUCTION: prod.")


async def test_a_cluster_is_turned_to_by_its_name(tmp_path: Path) -> None:
    known(tmp_path, "staging")
    stage = Stage(home=tmp_path)
    async with stage.open() as hand:
        await hand.press(":", *"context use", "enter")
        await hand.until_told("name a context")
        stage.console._deeds.do("cluster-use", "staging")
        await hand.until(lambda: stage.node.target.name == "staging")


async def test_without_any_cluster_it_says_how_to_keep_one(tmp_path: Path) -> None:
    stage = Stage(home=tmp_path)
    async with stage.open() as hand:
        await hand.press("0")
        await hand.until_seen("No cluster is known here.", "nexa login URL")


def test_what_does_not_answer_comes_first_and_what_is_healthy_last() -> None:
    rows = [
        ClusterRow(key="a", name="a", url="u", current=False, cluster=cluster()),
        ClusterRow(
            key="b",
            name="b",
            url="u",
            current=True,
            error=Unavailable("no\x1b[2J answer"),
        ),
        ClusterRow(
            key="c",
            name="c",
            url="u",
            current=False,
            cluster=cluster(verdict="unhealthy", reasons=("no quorum",)),
            alerts=tuple(one.alert for one in alarms.RECORDED),
        ),
    ]
    value = CLUSTERS.column("verdict").value

    assert [one.key for one in sorted(rows, key=value)] == ["b", "c", "a"]
    words = CLUSTERS.words(rows[1], Look())
    assert "no answer" in words["verdict"]
    assert "\x1b" not in words["why"]
    assert int(CLUSTERS.words(rows[2], Look())["alerts"]) > 0
    assert [CLUSTERS.problem(one) for one in rows] == [False, True, True]
    assert len(cluster_lines(rows[1], Look())) == 4


def test_nodes_of_one_cluster_on_this_machine_are_one_row() -> None:
    both = cluster(nodes=(node(id="1", name="alpha"), node(id="2", name="beta")))
    other = cluster(nodes=(node(id="3", name="lone"),))

    def row(key: str, picture: Cluster | None, *, current: bool = False) -> ClusterRow:
        name = key.partition(":")[2]
        return ClusterRow(key=key, name=name, url="u", current=current, cluster=picture)

    shown = once_each(
        [
            row("node:alpha", both),
            row("node:beta", both, current=True),
            row("node:lone", other),
            row("node:gone", None),
            row("context:mine", both),
        ]
    )

    assert {one.key: one.name for one in shown} == {
        "node:beta": f"{both.name} › beta",
        "node:lone": "lone",
        "node:gone": "gone",
        "context:mine": "mine",
    }
