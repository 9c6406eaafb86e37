"""What a namespace may use, on a real node: refused at the door, held before dispatch."""

import asyncio
import itertools
from typing import Any

import pytest

from nexa_node.agent import Agent, Job, Timing, Usage
from nexa_tui.client.discovery import discover
from tests.system.conftest import Shell, until

_names = itertools.count(1)
TOKENS = 60


@pytest.fixture
def space(shared: Shell) -> str:
    """A namespace of the test's own, on the module's node."""
    return f"space-{next(_names)}"


def agent_of(shared: Shell, space: str, name: str = "spender") -> Agent:
    target = discover(shared.environ)
    assert target is not None
    made = Agent(
        name,
        url=target.url,
        token=target.token,
        namespace=space,
        timing=Timing(backoff_base=0.1, backoff_cap=0.2),
    )

    @made.task("spend")
    async def spend(job: Job) -> str:
        job.usage = Usage(model="m", input_tokens=TOKENS - 10, output_tokens=10)
        return "spent"

    @made.task("burn")
    async def burn(job: Job) -> None:
        job.usage = Usage(model="m", output_tokens=TOKENS)
        await job.progress(note="burning")
        await asyncio.Event().wait()  # only its budget ends it

    return made


def told(shared: Shell, *words: str) -> Any:
    said = shared(*words, "--json")
    assert said.code == 0, said.err
    return said.json()


def submit(shared: Shell, space: str) -> str:
    return str(told(shared, "task", "submit", "spend", "--namespace", space)["id"])


def status(shared: Shell, task_id: str) -> str:
    return str(told(shared, "task", "show", task_id)["status"])


def reason(shared: Shell, task_id: str, agent: str) -> str:
    """Why an agent does not get a task; empty if it may."""
    explained = told(shared, "task", "explain", task_id)
    (found,) = (one for one in explained["considered"] if one["agent"] == agent)
    return "" if found["eligible"] else str(found["reason"])


def budget(shared: Shell, space: str) -> dict[str, Any]:
    return dict(told(shared, "namespace", "show", space)["budget"])


def rejected(shared: Shell, limit: str) -> int:
    """How often, by the node's own count."""
    name = f'nexa_rate_limit_rejections_total{{limit="{limit}",scope="namespace"}} '
    lines = shared("metrics", "--text").out.splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[-1])


async def test_a_spent_budget_holds_tasks_back_until_it_is_raised(
    shared: Shell, space: str
) -> None:
    told(shared, "namespace", "set", space, "--tokens", "100", "--warn-at", "0.5")
    async with agent_of(shared, space):
        for number in (1, 2):
            task_id = await asyncio.to_thread(submit, shared, space)
            await asyncio.to_thread(
                until,
                lambda spent=task_id: status(shared, spent) == "completed",
                f"task {number} is done",
            )
        view = budget(shared, space)
        held = await asyncio.to_thread(submit, shared, space)
        why = told(shared, "task", "explain", held)["verdict"]
        scrape = shared("metrics", "--text").out

        assert (view["state"], view["remaining"]) == ("spent", 0.0)
        assert view["spent"]["tokens"] == 2 * TOKENS
        assert why.startswith(f"held: the budget of the namespace {space} is spent")
        assert "resets at" in why
        assert status(shared, held) == "pending"
        assert f'nexa_llm_budget_remaining_ratio{{budget="{space}"}} 0' in scrape

        told(shared, "namespace", "set", space, "--tokens", "1000")
        await asyncio.to_thread(
            until,
            lambda: status(shared, held) == "completed",
            "it goes on once the budget is raised",
            40,
        )
    kinds = [
        one["kind"]
        for one in told(shared, "events", "--limit", "200")["items"]
        if one["subject"] == f"namespace/{space}"
    ]
    assert {"budget.low", "budget.spent", "namespace.changed"} <= set(kinds)


async def test_a_task_over_its_own_budget_ends_and_its_agent_goes_on(
    shared: Shell, space: str
) -> None:
    async with agent_of(shared, space):
        dear = told(
            shared, "task", "submit", "burn", "--namespace", space,
            "--budget-tokens", str(TOKENS - 1), "--budget-usd", "1",
        )["id"]  # fmt: skip
        await asyncio.to_thread(
            until, lambda: status(shared, dear) == "failed", "its budget ended it"
        )
        record = told(shared, "task", "show", dear)
        why = told(shared, "task", "explain", dear)["verdict"]
        card = shared("task", "show", dear).out
        next_one = await asyncio.to_thread(submit, shared, space)
        await asyncio.to_thread(
            until,
            lambda: status(shared, next_one) == "completed",
            "the agent has its slot back: its handler was interrupted",
        )

    assert record["error"]["reason"] == "budget_exceeded"
    assert (record["attempts"], record["usage"]["output_tokens"]) == (1, TOKENS)
    assert f"used {TOKENS} tokens, and its budget allows {TOKENS - 1}" in why
    assert f"{TOKENS - 1} tokens, 1.0000 USD" in card


async def test_an_agent_that_spent_its_own_share_gets_nothing_more(
    shared: Shell, space: str
) -> None:
    told(shared, "namespace", "set", space, "--agent-tokens", "50")
    async with agent_of(shared, space):
        first = await asyncio.to_thread(submit, shared, space)
        await asyncio.to_thread(
            until, lambda: status(shared, first) == "completed", "the first is done"
        )
        second = await asyncio.to_thread(submit, shared, space)
        await asyncio.to_thread(
            until,
            lambda: "has spent what each agent" in reason(shared, second, "spender"),
            "it is told why, once the agent's slot is known to be free",
        )

        assert budget(shared, space)["agents"] == ["spender"]
        assert status(shared, second) == "pending"
        async with agent_of(shared, space, "thrifty"):
            await asyncio.to_thread(
                until,
                lambda: status(shared, second) == "completed",
                "somebody else does it",
                40,
            )


async def test_what_was_spent_outlives_the_node(shared: Shell, space: str) -> None:
    told(shared, "namespace", "set", space, "--tokens", "1000", "--period", "month")
    async with agent_of(shared, space):
        task_id = await asyncio.to_thread(submit, shared, space)
        await asyncio.to_thread(
            until, lambda: status(shared, task_id) == "completed", "it is done"
        )
    assert shared("node", "restart", "--wait", "0").code in (0, 2)
    await asyncio.to_thread(
        until,
        lambda: budget(shared, space)["spent"].get("tokens") == TOKENS,
        "it is known again",
    )


async def test_more_than_a_namespace_may_is_refused_with_the_limit_and_the_mend(
    shared: Shell, space: str
) -> None:
    told(
        shared, "namespace", "set", space, "--waiting", "2", "--agents", "1",
    )  # fmt: skip
    for _ in range(2):
        submit(shared, space)
    refused = shared("task", "submit", "spend", "--namespace", space)

    assert refused.code == 1
    assert f"2 tasks wait: the limit of the namespace {space}" in refused.err
    assert f"nexa namespace set {space}" in refused.err
    async with agent_of(shared, space):
        await asyncio.to_thread(
            until, lambda: shared.connected("spender"), "the first is connected"
        )
        async with agent_of(shared, space, "one-too-many"):
            await asyncio.to_thread(
                until, lambda: rejected(shared, "namespace_agents"), "it is refused"
            )
            assert not shared.connected("one-too-many")
    assert rejected(shared, "namespace_waiting") == 1


def test_messages_beyond_the_pace_of_a_namespace_are_refused(shared: Shell) -> None:
    told(shared, "namespace", "set", "default", "--messages-per-s", "0.01")
    first, second = (shared("send", "nobody", "note") for _ in range(2))
    told(shared, "namespace", "clear", "default")

    assert (first.code, second.code) == (0, 1)
    assert "more than 0.01 messages a second" in second.err


def test_limits_are_seen_changed_one_by_one_and_cleared(
    shared: Shell, space: str
) -> None:
    told(shared, "namespace", "set", space, "--agents", "5", "--tokens", "1000")
    kept = told(
        shared, "namespace", "set", space, "--agents", "none", "--cost-usd", "2.5"
    )
    listed = shared("namespace").out
    wrong = shared("namespace", "set", space, "--tokens", "many")
    nothing = shared("namespace", "set", space)

    assert kept["limits"] == {}
    assert kept["budget"] == {"tokens": 1000, "cost_usd": 2.5}
    assert "100% left" in listed
    assert (wrong.code, nothing.code) == (2, 2)
    assert "--tokens takes a number" in wrong.err
    assert shared("namespace", "clear", space).code == 0
    assert shared("namespace", "clear", space).code == 5
    assert shared("namespace", "show", space).code == 5
