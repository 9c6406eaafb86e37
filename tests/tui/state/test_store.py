from datetime import timedelta

import pytest
from msgspec.structs import replace

from nexa_node.contract.errors import Unauthorized
from nexa_node.contract.events import (
    AgentChanged,
    AgentGone,
    ClusterChanged,
    Happened,
    Sampled,
    SelfTested,
    TaskChanged,
    TaskGone,
)
from nexa_node.contract.ids import AgentId, TaskId
from nexa_node.contract.nodes import TaskCounts
from nexa_tui.state import store
from nexa_tui.state.store import (
    ClusterState,
    Denied,
    Gone,
    Live,
    Opening,
    apply,
    apply_all,
    relink,
)
from tests.builders import (
    NOW,
    TASK_ID,
    agent,
    cluster,
    event,
    sample,
    selftest,
    snapshot,
    summary,
)

BEGUN = apply(ClusterState(), snapshot(), at=100.0)


def test_a_snapshot_is_all_that_is_known() -> None:
    assert BEGUN.cluster == cluster()
    assert list(BEGUN.agents) == ["wc-1"]
    assert list(BEGUN.tasks) == [TASK_ID]
    assert BEGUN.counts.pending == 1
    assert isinstance(BEGUN.link, Live)


def test_applying_changes_nothing_that_was_there() -> None:
    before = BEGUN
    kept = replace(before)
    frame = AgentChanged(seq=1, time=NOW, agent=agent("wc-2"))

    after = apply(before, frame, at=101.0)

    assert before == kept
    assert set(after.agents) == {"wc-1", "wc-2"}
    assert after.tasks is before.tasks


def test_agents_come_change_and_are_forgotten() -> None:
    frames = (
        AgentChanged(seq=1, time=NOW, agent=agent("wc-1", state="busy", inflight=2)),
        AgentChanged(seq=2, time=NOW, agent=agent("wc-2")),
        AgentGone(seq=3, time=NOW, id=AgentId("wc-2")),
        AgentGone(seq=4, time=NOW, id=AgentId("never-seen")),
    )
    state = apply_all(BEGUN, frames, at=101.0)

    assert {one.id: one.state for one in state.agents.values()} == {"wc-1": "busy"}


def test_tasks_bring_the_counts_along() -> None:
    done = summary("t-2", status="completed")
    frames = (
        TaskChanged(seq=1, time=NOW, task=done, counts=TaskCounts(completed=1)),
        TaskGone(seq=2, time=NOW, id=TASK_ID),
    )
    state = apply_all(BEGUN, frames, at=101.0)

    assert list(state.tasks) == ["t-2"]
    assert state.counts.completed == 1


def test_every_kind_of_change_is_taken_in() -> None:
    frames = (
        ClusterChanged(seq=1, time=NOW, cluster=cluster(verdict="degraded")),
        Sampled(seq=2, time=NOW, sample=sample(cpu=0.9), counts=TaskCounts(running=3)),
        Happened(seq=3, time=NOW, event=event("e-2")),
        SelfTested(seq=4, time=NOW, selftest=selftest(status="warn")),
    )
    state = apply_all(BEGUN, frames, at=101.0)

    assert state.cluster is not None
    assert state.cluster.verdict == "degraded"
    assert state.sample is not None
    assert state.sample.cpu == 0.9
    assert state.counts.running == 3
    assert state.events[-1].id == "e-2"
    assert state.selftest is not None
    assert state.selftest.status == "warn"


def test_history_and_events_are_bounded() -> None:
    many = range(store.HISTORY_MAX + 10)
    beats = [
        Sampled(seq=n, time=NOW, sample=sample(), counts=TaskCounts()) for n in many
    ]
    told = [Happened(seq=n, time=NOW, event=event(str(n))) for n in range(1200)]
    state = apply_all(BEGUN, [*beats, *told], at=101.0)

    assert len(state.history) == store.HISTORY_MAX
    assert len(state.events) == store.EVENTS_MAX
    assert state.events[-1].id == "1199"


def test_only_finished_tasks_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "FINISHED_MAX", 5)
    monkeypatch.setattr(store, "_TRIM_SLACK", 0)
    frames = [
        TaskChanged(
            seq=n,
            time=NOW,
            task=summary(f"t-{n}", status="pending" if n % 2 else "completed"),
            counts=TaskCounts(),
        )
        for n in range(20)
    ]
    state = apply_all(ClusterState(), frames, at=0.0)

    left = [one.id for one in state.tasks.values() if one.status == "completed"]
    assert left == ["t-10", "t-12", "t-14", "t-16", "t-18"]
    assert sum(one.status == "pending" for one in state.tasks.values()) == 10


@pytest.mark.parametrize(("seconds", "stale"), [(5.9, False), (6.1, True)])
def test_data_is_stale_after_three_missed_beats(seconds: float, stale: bool) -> None:
    assert BEGUN.stale(100.0 + seconds) is stale


def test_data_of_a_broken_feed_is_stale_at_once() -> None:
    gone = relink(BEGUN, Gone("broke", None, retry_at=101.0, since=100.0))

    assert gone.stale(100.1)
    assert gone.agents == BEGUN.agents
    assert not ClusterState().stale(100.0)


def test_the_nodes_clock_goes_on_from_what_it_said_last() -> None:
    assert BEGUN.node_time(102.5) == NOW + timedelta(seconds=2.5)
    assert ClusterState().node_time(1.0) is None


def test_a_feed_that_is_opened_again_stays_gone_until_it_is_open() -> None:
    first = relink(BEGUN, Gone("broke", None, retry_at=101.0, since=100.0))
    opening = relink(first, Opening("http://x", 1))
    again = relink(opening, Gone("no answer", None, retry_at=105.0, since=103.0))

    assert opening.link == first.link
    assert isinstance(again.link, Gone)
    assert again.link.since == 100.0
    assert again.link.why == "no answer"
    assert isinstance(apply(again, snapshot(), at=106.0).link, Live)


def test_a_refusal_is_kept() -> None:
    denied = relink(BEGUN, Denied(Unauthorized("no")))

    assert isinstance(denied.link, Denied)
    assert denied.cluster is not None


def test_a_snapshot_lists_tasks_oldest_first_inside() -> None:
    state = apply(
        ClusterState(), snapshot(tasks=(summary("new"), summary("old"))), at=0.0
    )

    assert list(state.tasks) == [TaskId("old"), TaskId("new")]


def test_an_agents_slots_follow_its_tasks_before_its_record_comes() -> None:
    idle = agent(slots=2, inflight=0, state="idle")
    state = apply(ClusterState(), snapshot(agents=(idle,), tasks=()), at=100.0)

    def told(task_id: str, status: str, *, seq: int) -> ClusterState:
        task = summary(task_id, status=status, agent=idle.id)
        counts = TaskCounts()
        frame = TaskChanged(seq=seq, time=NOW, task=task, counts=counts)
        return apply(state, frame, at=101.0)

    seen: list[tuple[int, str]] = []
    steps = [("a", "assigned"), ("a", "running"), ("b", "running"), ("a", "completed"),
             ("a", "completed"), ("b", "failed")]  # fmt: skip
    for seq, (task_id, status) in enumerate(steps, 1):
        state = told(task_id, status, seq=seq)
        now = state.agents[idle.id]
        seen.append((now.inflight, now.state))

    assert seen == [(1, "active"), (1, "active"), (2, "busy"), (1, "active"),
                    (1, "active"), (0, "idle")]  # fmt: skip


def test_what_somebody_set_stays_while_an_agent_works() -> None:
    drained = agent(slots=2, inflight=0, state="draining")
    begun = apply(ClusterState(), snapshot(agents=(drained,), tasks=()), at=100.0)
    task = summary("a", status="running", agent=drained.id)
    frame = TaskChanged(seq=1, time=NOW, task=task, counts=TaskCounts())

    assert apply(begun, frame, at=101.0).agents[drained.id].state == "draining"
