from datetime import timedelta
from typing import Any

import pytest

from nexa_node.core.explaining import CONSIDERED_MAX, explain
from nexa_node.core.routing import Facts
from tests import builders
from tests.builders import NOW, agent, capability

SUM = (capability("sum"),)


@pytest.mark.parametrize(
    ("agents", "task", "words"),
    [
        ([], {}, "no agent has connected to the namespace 'default' yet"),
        ([agent(namespace="lab")], {}, "no agent has connected to the namespace"),
        ([agent(capabilities=SUM)], {}, "no connected agent has the capability 'wc'"),
        ([agent(connected=False)], {}, "capability 'wc'; 1 that had it are gone"),
        ([agent()], {"labels": {"gpu": "yes"}}, "has 'wc' with gpu=yes"),
        ([agent(inflight=2), agent("wc-2", inflight=2)], {},
         "all slots of 2 agents with 'wc' are taken"),
        ([agent(inflight=2), agent("wc-2", state="draining")], {},
         "of 2 agents with 'wc' 1 are full and 1 take nothing new"),
    ],
)  # fmt: skip
def test_a_waiting_task_names_what_it_waits_for(
    agents: list[Any], task: dict[str, Any], words: str
) -> None:
    told = explain(builders.task(**task), agents)

    assert told.verdict.startswith("waits: ")
    assert words in told.verdict


def test_a_task_that_can_go_or_has_gone_is_explained_by_routing() -> None:
    assert "about to be" in explain(builders.task(), [agent()]).verdict
    running = explain(builders.task(status="running"), [agent(inflight=2)])
    assert running.verdict.startswith("wc-1 has it")


def test_agents_with_the_capability_are_told_first_and_not_thousands() -> None:
    others = [agent(f"s-{n}", capabilities=SUM) for n in range(500)]

    told = explain(builders.task(), [*others, agent("wc-9", inflight=2)])

    assert len(told.considered) == CONSIDERED_MAX
    assert told.considered[0].agent == "wc-9"


def facts(ahead: int = 0) -> Facts:
    return Facts(node="alpha", now=NOW, monotonic=0.0, local={}, ahead=ahead)


def test_a_delayed_task_waits_for_its_time_whoever_is_free() -> None:
    task = builders.task(not_before=NOW + timedelta(seconds=90))

    for agents in ([], [agent()], [agent(inflight=2)]):
        assert "in 90 s" in explain(task, agents, facts()).verdict


def test_a_task_that_waits_behind_others_says_behind_how_many() -> None:
    full = explain(builders.task(), [agent(inflight=2)], facts(ahead=7))
    first = explain(builders.task(), [agent(inflight=2)], facts())

    assert full.verdict.endswith("are taken; 7 go before it")
    assert first.verdict.endswith("are taken")
