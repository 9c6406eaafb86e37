"""The plain report of a cluster: one fact a line, what is wrong among them."""

from pathlib import Path

from nexa_node.contract.agents import Agent
from nexa_node.contract.alerts import Alert
from nexa_node.contract.errors import NotFound
from nexa_node.contract.events import Event
from nexa_node.contract.nodes import Cluster
from nexa_node.contract.rest import Page
from nexa_node.contract.tasks import TaskSummary
from nexa_tui.state.alerts import is_problem
from tests.builders import node_status
from tests.tui import alarms, clusters
from tests.tui.served import port, say

ALERTS = tuple(one.alert for one in alarms.RECORDED)


def report(cluster: Cluster, home: Path) -> str:
    with port() as there:
        there.answers |= {
            "GET /v1/cluster": cluster,
            "GET /v1/node": node_status(),
            "GET /v1/selftest": NotFound("none"),
            "GET /v1/agents": Page[Agent](items=()),
            "GET /v1/alerts": Page[Alert](items=ALERTS),
            "GET /v1/tasks": Page[TaskSummary](items=()),
            "GET /v1/events": Page[Event](items=()),
        }
        said = say(home, there.url)
    assert said.code == 0, said.err
    return said.out


def test_votes_and_what_is_wrong_are_told(tmp_path: Path) -> None:
    told = report(clusters.SEVEN, tmp_path)

    assert "  7 of 7 vote, 4 needed, margin 3; controller alpha" in told
    assert "  gamma lags: NX_TASKQ and 1 more, 1,292 operations" in told


def test_alerts_that_wait_for_somebody_are_told(tmp_path: Path) -> None:
    told = report(clusters.ONE, tmp_path)
    waiting = [one for one in ALERTS if is_problem(one)]

    assert f"Alerts that wait for somebody: {len(waiting)}" in told
    assert all(one.name in told for one in waiting)


def test_a_single_node_is_spared_that(tmp_path: Path) -> None:
    assert "vote" not in report(clusters.ONE, tmp_path)
