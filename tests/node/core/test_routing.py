import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from nexa_node.contract.ids import AgentId, Namespace
from nexa_node.contract.tasks import Task
from nexa_node.core import explaining
from nexa_node.core.flow import Credits
from nexa_node.core.routing import (
    Facts,
    Local,
    choose,
    consider,
    explain,
    why_nobody,
)
from nexa_node.core.strategies import STRATEGIES, Candidate, Seat
from tests.builders import NOW, agent, capability, task


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


def facts(**overrides: Any) -> Facts:
    fields = {"node": "alpha", "now": NOW, "monotonic": 0.0, "local": {}}
    return Facts(**{**fields, **overrides})


def local(**overrides: Any) -> Local:
    seat = overrides.pop("seat", None) or Seat(AgentId("wc-1"), slots=2, since=-99.0)
    fields = {"seat": seat, "rests_s": None, "unable": False, "refused": False}
    return Local(**{**fields, **overrides})


def told_here(**overrides: Any) -> tuple[bool, str]:
    draining = overrides.pop("draining", False)
    known = facts(local={"wc-1": local(**overrides)}, draining=draining)
    verdict = consider(task(), agent(), known)
    return verdict.eligible, verdict.reason


def test_what_only_its_own_node_knows_is_told_too() -> None:
    full = Seat(AgentId("wc-1"), slots=2, since=-99.0, inflight=2)
    away = Seat(AgentId("wc-1"), slots=2, since=-99.0, connected=False)
    spent = Seat(AgentId("wc-1"), slots=2, since=-99.0, credits=Credits(left=0))

    for said, known in (
        ("unable to do this task", {"unable": True}),
        ("refused this task", {"refused": True}),
        ("rests for 1.5 s more", {"rests_s": 1.5}),
        ("2 of 2 slots are taken", {"seat": full}),
        ("its session waits for it", {"seat": away}),
        ("no credits left", {"seat": spent}),
        ("alpha drains", {"draining": True}),
    ):
        eligible, reason = told_here(**known)
        assert not eligible
        assert said in reason


def test_a_slow_start_is_told_and_is_no_refusal() -> None:
    new = Seat(AgentId("wc-1"), slots=2, since=-15.0)

    assert told_here() == (True, "2 of 2 slots are free")
    assert told_here(seat=new) == (
        True,
        "2 of 2 slots are free; it is new and counts for 50% of its weight yet",
    )


def test_of_agents_elsewhere_only_what_their_node_told_is_known() -> None:
    far = consider(task(), agent(node="beta"), facts())

    assert far.eligible
    assert far.reason == "2 of 2 slots are free, by what beta last told of it"
    assert "beta" not in consider(task(), agent(node="beta")).reason


def test_a_task_whose_time_has_not_come_says_when_it_does() -> None:
    later = NOW + timedelta(seconds=90)

    told = explain(task(not_before=later), [agent()], facts())
    assert told.verdict == "it waits for its time, 2026-03-01 12:01:30 UTC, in 90 s"
    again = explain(task(not_before=later, attempts=1), [], facts())
    assert "its next attempt" in again.verdict
    assert "about to be" in explain(task(not_before=NOW), [agent()], facts()).verdict
    full = explaining.explain(task(not_before=later), [agent(inflight=2)], facts())
    assert "its time" in full.verdict


def test_how_many_go_before_it_is_told() -> None:
    told = explain(task(), [agent()], facts(ahead=7))

    assert told.verdict.endswith("7 go before it, by priority and fairness")
    assert "before it" not in explain(task(), [agent()], facts(ahead=0)).verdict


def test_a_strategy_that_needs_to_see_all_sees_all() -> None:
    many = candidates(*(f"a{n}" for n in range(200)))
    for each in many:
        each.turn = 1
    many[137].turn = 0

    found = choose(
        task(),
        many,
        excluded=(),
        now=0.0,
        rng=random.Random(1),
        strategy=STRATEGIES["round_robin"],
    )
    assert found is many[137]
