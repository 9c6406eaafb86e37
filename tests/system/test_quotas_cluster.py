"""Budgets of a real cluster: what was counted outlives a killed node, and is the same everywhere."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nexa_node.agent import Agent, Job, Timing, Usage
from nexa_tui.client.discovery import discover
from tests.system.conftest import Shell, until
from tests.system.town import Town

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
TOKENS = 60


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = Town(tmp_path)
    yield made
    made.end()


def agent_at(shell: Shell, name: str) -> Agent:
    target = discover(shell.environ)
    assert target is not None
    made = Agent(
        name,
        url=target.url,
        token=target.token,
        timing=Timing(backoff_base=0.1, backoff_cap=0.5),
    )

    @made.task("spend")
    async def spend(job: Job) -> str:
        job.usage = Usage(model="m", input_tokens=TOKENS, output_tokens=0)
        return "spent"

    return made


def spent(shell: Shell) -> int:
    said = shell("namespace", "show", "default", "--json")
    budget: dict[str, Any] = said.json()["budget"] if said.code == 0 else {}
    return budget.get("spent", {}).get("tokens", 0)


def submit(shell: Shell, *words: str) -> dict[str, Any]:
    said = shell("task", "submit", "spend", *words, "--json")
    assert said.code == 0, said.err
    return dict(said.json())


async def test_a_killed_node_leaves_what_it_counted_and_goes_on_from_there(
    town: Town,
) -> None:
    await asyncio.to_thread(build, town)
    alpha, beta = town["alpha"], town["beta"]
    budget = ("namespace", "set", "default", "--period", "month", "--tokens")
    assert alpha(*budget, "150").code == 0
    async with agent_at(alpha, "at-alpha"):
        done = await asyncio.to_thread(submit, alpha, "--wait")
        assert done["status"] == "completed"
    await asyncio.to_thread(until, lambda: spent(beta) == TOKENS, "beta knows")

    town.kill("alpha")
    async with agent_at(beta, "at-beta"):
        for _ in range(2):
            done = await asyncio.to_thread(submit, beta, "--wait")
            assert done["status"] == "completed"
        held = await asyncio.to_thread(submit, beta)
        why = beta("task", "explain", held["id"], "--json").json()

        assert spent(beta) == 3 * TOKENS
        assert why["verdict"].startswith("held: the budget of the namespace default")
        await asyncio.to_thread(town.again, "alpha")
        await asyncio.to_thread(
            until, lambda: spent(alpha) == 3 * TOKENS, "alpha knows", 40
        )
        assert beta(*budget, "1000").code == 0
        ended = await asyncio.to_thread(beta, "task", "watch", held["id"], "--json")
        assert ended.json()["status"] == "completed"
    async with agent_at(alpha, "at-alpha"):
        done = await asyncio.to_thread(submit, alpha, "--wait")
        assert done["status"] == "completed"
    for name in ("alpha", "beta", "gamma"):
        await asyncio.to_thread(
            until, lambda name=name: spent(town[name]) == 5 * TOKENS, f"{name} knows"
        )


def build(town: Town) -> None:
    """Three nodes with three copies of everything."""
    town.found("alpha")
    town.join("beta", "alpha")
    town.join("gamma", "alpha")
    until(lambda: town.copies("alpha") == {3}, "three copies of everything", 40)
