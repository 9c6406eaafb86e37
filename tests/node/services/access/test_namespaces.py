"""Two namespaces beside each other: who is for one of them finds nothing of the other."""

import contextlib
import inspect
from typing import Any

import msgspec
import pytest

from nexa_node.contract.access import Permission, Scope
from nexa_node.contract.errors import Forbidden, NexaError, NotFound
from nexa_node.contract.events import AgentChanged, Snapshot
from nexa_node.contract.ids import Namespace
from nexa_node.contract.tasks import Redrive
from nexa_node.services.api import AgentFilter, EventFilter, TaskFilter
from tests import builders
from tests.builders import identity
from tests.fakes import MemoryStore, settle
from tests.node.services.test_node import CALLS
from tests.node_scene import Scene, running

FOREIGN = "01j000000000000000000000fb"
OWN = "01j000000000000000000000fa"
MARK = "zebra"
"""In every name and text of the other namespace."""


def stocked() -> MemoryStore:
    store = MemoryStore()
    other = Namespace(f"team-{MARK}")
    store.tasks.seed(
        builders.task(OWN, namespace="team-a"),
        builders.task(FOREIGN, namespace=other, type=f"{MARK}-work"),
    )
    store.agents.seed(
        builders.agent("wc-1", namespace="team-a"),
        builders.agent(f"{MARK}-1", namespace=other),
    )
    return store


def seen(answer: Any) -> str:
    return msgspec.json.encode(answer, enc_hook=repr).decode()


async def ask(name: str, scene: Scene, who: Any) -> str:
    made = CALLS[name](scene.node, who)
    answer = await made if inspect.iscoroutine(made) else made
    if hasattr(answer, "__aiter__"):
        async with contextlib.aclosing(answer) as frames:
            return seen(await anext(frames, None))
    return seen(answer)


@pytest.mark.parametrize("role", ["viewer", "operator", "admin", "agent", "auditor"])
async def test_no_call_tells_one_namespace_of_another(role: str) -> None:
    who = identity(role, scope=Scope(namespaces=("team-a",)))
    async with running(stocked()) as it:
        it.journal.record(
            "agent.joined",
            subject=f"agent/{MARK}-1",
            message=f"{MARK}-1 joined",
            data={"namespace": f"team-{MARK}"},
        )
        it.journal.record(
            "task.failed", subject=f"task/{FOREIGN}", message=f"{MARK} failed"
        )
        await settle()
        for name in CALLS:
            if name in ("drain", "connect_agent", "run_selftest"):
                continue
            try:
                told = await ask(name, it, who)
            except NexaError as error:
                told = error.message
            assert MARK not in told, name
            assert FOREIGN not in told, name


async def test_what_is_foreign_is_answered_as_what_is_not_there() -> None:
    who = identity("operator", scope=Scope(namespaces=("team-a",)))
    async with running(stocked()) as it:
        for call in (
            lambda key: it.node.task(who, key),
            lambda key: it.node.explain(who, key),
            lambda key: it.node.cancel(who, key),
            lambda key: it.node.redrive(who, Redrive(ids=(key,))),
        ):
            texts: list[str] = []
            for key in (FOREIGN, "01j00000000000000000000nope"):
                with pytest.raises(NotFound) as caught:
                    await call(key)
                texts.append(caught.value.message.replace(key, ""))
            assert texts[0] == texts[1]
        with pytest.raises(NotFound):
            it.node.agent(who, f"{MARK}-1")


async def test_lists_pages_and_counts_hold_ones_own() -> None:
    who = identity("operator", scope=Scope(namespaces=("team-a",)))
    async with running(stocked()) as it:
        agents = it.node.agents(who, AgentFilter(limit=1))
        assert [agent.id for agent in agents.items] == ["wc-1"]
        tasks = it.node.tasks(who, TaskFilter(limit=5))
        assert [task.id for task in tasks.items] == [OWN]
        assert [each.name for each in it.node.namespaces(who).items] == ["team-a"]
        counts = it.node.status(who).tasks
        assert counts is not None
        assert counts.pending == 1
        assert it.node.events(who, EventFilter()).items == ()


async def test_the_feed_tells_of_ones_own_and_counts_without_holes() -> None:
    who = identity("viewer", scope=Scope(namespaces=("team-a",)))
    async with running(stocked()) as it:  # noqa: SIM117  # the feed needs the node
        async with contextlib.aclosing(it.node.feed(who)) as frames:
            first = await anext(frames)
            assert isinstance(first, Snapshot)
            assert [agent.id for agent in first.agents] == ["wc-1"]
            await it.store.agents.put(
                builders.agent(f"{MARK}-2", namespace=f"team-{MARK}")
            )
            await it.store.agents.put(builders.agent("wc-2", namespace="team-a"))
            seq = 0
            async for frame in frames:
                assert frame.seq == (seq := seq + 1)
                if isinstance(frame, AgentChanged):
                    assert frame.agent.id == "wc-2"
                    break


async def test_a_task_goes_where_its_submitters_token_is_for() -> None:
    who = identity("operator", scope=Scope(namespaces=("team-a",)))
    async with running() as it:
        await it.node.submit(who, builders.new_task())
        with pytest.raises(Forbidden):
            await it.node.submit(who, builders.new_task(namespace="team-b"))
        assert len(it.desk.asked) == 1


async def test_a_custom_role_sees_what_its_patterns_name() -> None:
    who = identity(
        "reader", permissions=(Permission(allow="tasks:read", on="team-a.>"),)
    )
    async with running(stocked()) as it:
        assert [task.id for task in it.node.tasks(who, TaskFilter()).items] == [OWN]
        with pytest.raises(Forbidden):
            await it.node.cancel(who, OWN)
