import random
from collections.abc import Sequence
from typing import Any

from nexa_node.contract.ids import AgentId, Namespace
from nexa_node.contract.tasks import Task
from nexa_node.core.routing import choose, consider, explain, why_nobody
from nexa_node.core.strategies import Candidate, Seat
from tests.builders import agent, capability, task


def candidates(*ids: str, slots: int = 1, **labels: str) -> list[Candidate]:
    return [
        Candidate(
            Seat(AgentId(name), slots=slots, since=-1000.0), capability(labels=labels)
        )
        for name in ids
    ]


def chosen(
    wanted: Task, among: Sequence[Candidate], *, excluded: Sequence[str] = ()
) -> str | None:
    found = choose(
        wanted,
        among,
        excluded=[AgentId(each) for each in excluded],
        now=0.0,
        rng=random.Random(1),
    )
    return None if found is None else found.seat.agent


def test_labels_asked_for_must_be_there() -> None:
    wanted = task(labels={"gpu": "yes"})
    plain, gpu = candidates("plain"), candidates("gpu", gpu="yes", zone="a")

    assert chosen(wanted, [*plain, *gpu]) == "gpu"
    assert chosen(wanted, plain) is None


def test_those_that_refused_are_left_out() -> None:
    both = candidates("a", "b")

    assert chosen(task(), both, excluded=["a"]) == "b"
    assert chosen(task(), both, excluded=["a", "b"]) is None


def test_full_agents_are_left_out() -> None:
    full, free = candidates("full", slots=0), candidates("free")

    assert chosen(task(), [*full, *free]) == "free"


def test_of_many_only_some_are_compared() -> None:
    many = candidates(*(f"a{n}" for n in range(1000)))

    assert chosen(task(), many) is not None


def test_a_rare_label_is_found_among_many() -> None:
    many = [*candidates(*(f"a{n}" for n in range(1000))), *candidates("gpu", gpu="yes")]

    assert chosen(task(labels={"gpu": "yes"}), many) == "gpu"


def test_the_one_that_is_left_is_found_among_many_that_are_excluded() -> None:
    many = candidates(*(f"a{n}" for n in range(100)))
    excluded = [f"a{n}" for n in range(99)]

    assert chosen(task(), many, excluded=excluded) == "a99"


def test_ties_are_broken_by_chance() -> None:
    both = candidates("a", "b")
    rng = random.Random(1)
    found = {
        each.seat.agent
        for _ in range(50)
        if (each := choose(task(), both, excluded=(), now=0.0, rng=rng)) is not None
    }

    assert found == {"a", "b"}


def test_why_nobody_could_be_chosen() -> None:
    both = candidates("a", "b")
    names = [AgentId("a"), AgentId("b")]

    labels = why_nobody(task(labels={"x": "y"}), both, excluded=())
    assert labels.hopeless
    assert why_nobody(task(), both, excluded=names).hopeless
    assert not why_nobody(task(), both, excluded=names[:1]).hopeless


def reason(**overrides: Any) -> str:
    verdict = consider(task(labels={"gpu": "yes"}), agent(**overrides))
    assert not verdict.eligible
    return verdict.reason


def test_every_objection_is_told() -> None:
    gpu = (capability(labels={"gpu": "yes"}),)
    assert "lacks gpu=yes" in reason()
    assert "capability wc" in reason(capabilities=())
    assert "namespace" in reason(namespace=Namespace("other"), capabilities=gpu)
    assert "not connected" in reason(capabilities=gpu, connected=False)
    assert "draining" in reason(capabilities=gpu, state="draining")
    assert "2 of 2" in reason(capabilities=gpu, inflight=2)


def test_an_explanation_tells_all_that_were_considered() -> None:
    agents = [agent("a"), agent("b", inflight=2)]
    told = explain(task(), agents)

    assert [each.eligible for each in told.considered] == [True, False]
    assert "about to be" in told.verdict
    assert "no agent can" in explain(task(), agents[1:]).verdict
    assert "ever connected" in explain(task(), []).verdict
    assert "wc-1 has it" in explain(task(status="running"), agents).verdict
    assert "completed" in explain(task(status="completed"), agents).verdict
