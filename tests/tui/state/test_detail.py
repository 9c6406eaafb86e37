from typing import Any

from nexa_node.contract.agents import AgentMetrics, Capability
from nexa_node.contract.ids import AgentId
from nexa_node.contract.tasks import Attempt, Budget, Considered, Explanation, Usage
from nexa_tui.state.detail import (
    Field,
    Heading,
    Line,
    agent_lines,
    check_lines,
    event_lines,
    node_lines,
    task_lines,
)
from nexa_tui.state.listing import Look
from tests.builders import (
    EARLIER,
    NOW,
    TASK_ID,
    agent,
    check,
    event,
    node,
    summary,
    task,
)

LOOK = Look(now=NOW)
EVIL = "\x1b[2J\u202e\x07evil\nline"


def text(lines: tuple[Line, ...]) -> str:
    return "\n".join(
        line.title
        if isinstance(line, Heading)
        else f"{line.label}: {line.text}"
        if isinstance(line, Field)
        else line.text
        for line in lines
    )


def attempt(**told: Any) -> Attempt:
    fields: dict[str, Any] = {
        "attempt": 1,
        "claim_epoch": 1,
        "agent": AgentId("wc-1"),
        "node": "alpha",
        "started": EARLIER,
    }
    return Attempt(**{**fields, **told})


def test_a_finished_task_shows_result_and_every_attempt() -> None:
    history = (
        attempt(ended=NOW, outcome="agent_lost", error="no word for 30 s"),
        attempt(attempt=2),
    )
    shown = text(task_lines(task(status="completed", history=history), LOOK))

    assert "state: ✓ completed" in shown
    assert "finished: 2026-03-01 12:00:00, 0s ago, after 1m00s" in shown
    assert '"words": 2' in shown
    assert "1: wc-1 on alpha at 11:59:00, 1m00s, agent_lost: no word for 30 s" in shown
    assert "2: wc-1 on alpha at 11:59:00, 1m00s, running" in shown


def test_a_task_shows_what_it_used_of_its_budget() -> None:
    used = Usage(model="maker/[m]", input_tokens=900, output_tokens=200, cost_usd=0.25)
    budget = Budget(tokens=1000, cost_usd=1.0)
    shown = text(task_lines(task(usage=used, budget=budget), LOOK))
    unlimited = text(task_lines(task(usage=used), LOOK))

    assert "tokens: 1,100 of 1,000" in shown
    assert "cost: 0.2500 of 1.0000 USD" in shown
    assert "tokens: 1,100\n" in unlimited
    assert "cost: 0.2500 USD" in unlimited
    assert "tokens" not in text(task_lines(task(), LOOK))


def test_a_failed_task_shows_its_error_before_its_data() -> None:
    shown = text(task_lines(task(status="failed", labels={"a": "b"}), LOOK))

    assert shown.index("exit status 1") < shown.index("some words")
    assert '"a": "b"' in shown


def test_a_waiting_task_says_why() -> None:
    why = Explanation(
        id=TASK_ID,
        status="pending",
        verdict="no agent with wc has a free slot",
        considered=(
            Considered(agent=AgentId("wc-1"), eligible=False, reason="all slots taken"),
        ),
    )
    shown = text(task_lines(task(pct=10.0, note="n"), LOOK, why))

    assert "verdict: no agent with wc has a free slot" in shown
    assert "wc-1: all slots taken" in shown
    assert "progress: 10%" in shown


def test_a_summary_is_shown_until_the_whole_task_is_there() -> None:
    assert "says" in text(task_lines(summary(status="completed"), LOOK))
    assert "says" not in text(task_lines(summary(), LOOK))


def test_an_agent_shows_what_it_can_and_what_it_does() -> None:
    one = agent(
        name="the first",
        version="2.1",
        metrics=AgentMetrics(cpu=0.5),
        capabilities=(Capability(name="wc", version="1", labels={"lang": "en"}),),
    )
    shown = text(agent_lines(one, [summary(status="running", note="page 1")], LOOK))

    assert "slots: 0 of 2 taken" in shown
    assert "wc: weight 1 1 lang=en" in shown
    assert "▸ running: wc" in shown
    assert "none that this node remembers" in text(agent_lines(agent(), (), LOOK))


def test_a_node_shows_its_reasons_and_its_machine() -> None:
    shown = text(node_lines(node(reasons=("disk is full",), rtt_ms=1.5), LOOK))

    assert "because: disk is full" in shown
    assert "memory: 50%: 8.00 GiB of 16.0 GiB" in shown
    assert "its machine" not in text(node_lines(node(host=None, started=None), LOOK))


def test_a_check_shows_cause_and_what_mends_it() -> None:
    one = check(status="fail", cause="port 6392 is taken\nby nginx", remedy="--port 0")
    lines = check_lines(one, LOOK)

    assert Field("cause", "port 6392 is taken", "warn") in lines
    assert Field("", "by nginx", "warn") in lines
    assert Field("mend it", "--port 0", "strong") in lines
    assert "nexa selftest --only node.store" in text(lines)


def test_an_event_shows_its_data_and_how_long_ago_it_was() -> None:
    shown = text(event_lines(event(data={"exit": 9}, time=EARLIER), LOOK))

    assert '"exit": 9' in shown
    assert "time: 2026-03-01 11:59:00, 1m00s ago" in shown


def test_without_the_nodes_time_nothing_is_said_about_how_long_ago() -> None:
    shown = text(event_lines(event(time=EARLIER), Look()))

    assert "time: 2026-03-01 11:59:00\n" in shown


def test_nothing_foreign_is_left_as_it_came() -> None:
    evil_task = task(
        EVIL,
        status="failed",
        type=EVIL,
        error={EVIL: [EVIL]},
        data=EVIL,
        result=EVIL,
        note=EVIL,
        submitter=EVIL,
        labels={EVIL: EVIL},
        history=(attempt(agent=AgentId(EVIL), outcome=EVIL, error={EVIL: EVIL}),),
    )
    evil_agent = agent(
        EVIL, name=EVIL, version=EVIL, capabilities=(Capability(name=EVIL),)
    )
    for lines in (
        task_lines(evil_task, LOOK),
        agent_lines(evil_agent, [summary(EVIL, type=EVIL)], LOOK),
        node_lines(node(EVIL, reasons=(EVIL,), url=EVIL, version=EVIL), LOOK),
        event_lines(event(message=EVIL, kind=EVIL, data={EVIL: EVIL}), LOOK),
        check_lines(check(detail=EVIL, cause=EVIL, remedy=EVIL), LOOK),
    ):
        for line in lines:
            words = text((line,))
            assert words.isprintable(), words
