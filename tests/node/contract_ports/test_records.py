"""What the record ports promise, of every store."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from nexa_node.contract.access import Permission, Role
from nexa_node.contract.errors import Conflict
from nexa_node.ports import Caught, Removed, SessionRecord, Versioned
from tests import builders

SECOND = "01jn8qk000000000000000000b"


async def told(watch: AsyncIterator[Any], count: int) -> list[Any]:
    return [await asyncio.wait_for(anext(watch), 10) for _ in range(count)]


async def test_a_record_is_created_once(world: Any) -> None:
    tasks = world.store.tasks
    revision = await tasks.create(builders.task())

    assert await tasks.create(builders.task(status="completed")) is None
    assert await tasks.get(builders.TASK_ID) == Versioned(builders.task(), revision)


async def test_what_is_not_there_is_none(world: Any) -> None:
    assert await world.store.tasks.get(builders.TASK_ID) is None
    assert await world.store.sessions.get("default", "wc-1") is None


async def test_a_write_at_the_newest_revision_wins_and_an_older_one_loses(
    world: Any,
) -> None:
    tasks = world.store.tasks
    first = await tasks.create(builders.task())
    second = await tasks.update(builders.task(status="running"), revision=first)

    with pytest.raises(Conflict):
        await tasks.update(builders.task(status="failed"), revision=first)
    assert second > first
    kept = await tasks.get(builders.TASK_ID)
    assert (kept.value.status, kept.revision) == ("running", second)


async def test_a_deleted_record_is_gone_and_may_be_created_anew(world: Any) -> None:
    tasks = world.store.tasks
    first = await tasks.create(builders.task())
    await tasks.delete(builders.TASK_ID)
    await tasks.delete(builders.TASK_ID)

    assert await tasks.get(builders.TASK_ID) is None
    with pytest.raises(Conflict):
        await tasks.update(builders.task(status="running"), revision=first)
    again = await tasks.create(builders.task())
    assert again is not None
    assert again > first
    assert (await tasks.get(builders.TASK_ID)).revision == again


async def test_of_many_writers_at_one_revision_one_wins(world: Any) -> None:
    tasks = world.store.tasks
    first = await tasks.create(builders.task())

    results = await asyncio.gather(
        *(
            tasks.update(builders.task(note=f"writer {n}"), revision=first)
            for n in range(8)
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(result, int) for result in results) == 1
    assert sum(isinstance(result, Conflict) for result in results) == 7


async def test_a_watch_of_nothing_has_caught_up(world: Any) -> None:
    watch = world.store.tasks.watch()

    assert await told(watch, 1) == [Caught()]
    await watch.aclose()


async def test_a_watch_tells_every_record_then_every_change(world: Any) -> None:
    tasks = world.store.tasks
    await tasks.create(builders.task())
    second = await tasks.create(builders.task(SECOND))
    watch = tasks.watch()

    before = await told(watch, 3)
    await tasks.update(builders.task(SECOND, status="running"), revision=second)
    await tasks.delete(builders.TASK_ID)
    after = await told(watch, 2)
    await watch.aclose()

    assert {item.value.id for item in before[:2]} == {builders.TASK_ID, SECOND}
    assert before[2] == Caught()
    assert after[0].value.status == "running"
    assert after[1] == Removed(builders.TASK_ID)


async def test_a_watch_does_not_tell_of_what_was_removed_before(world: Any) -> None:
    await world.store.tasks.create(builders.task())
    await world.store.tasks.delete(builders.TASK_ID)
    watch = world.store.tasks.watch()

    assert await told(watch, 1) == [Caught()]
    await watch.aclose()


async def test_agents_are_told_apart_by_their_namespace(world: Any) -> None:
    agents = world.store.agents
    await agents.put(builders.agent())
    await agents.put(builders.agent(namespace="other"))
    await agents.put(builders.agent(state="busy"))
    await agents.delete("other", "wc-1")
    watch = agents.watch()
    [one, caught] = await told(watch, 2)
    await agents.delete("default", "wc-1")
    [gone] = await told(watch, 1)
    await watch.aclose()

    assert (one.value.namespace, one.value.state) == ("default", "busy")
    assert caught == Caught()
    assert gone == Removed("default.wc-1")


async def test_the_revision_of_a_session_grows(world: Any) -> None:
    sessions = world.store.sessions
    record = SessionRecord(
        session="s-1", token_sha256="ab", node="alpha", incarnation="i-1"
    )
    first = await sessions.put("default", "wc-1", record)
    second = await sessions.put("default", "wc-1", record)

    assert second > first
    assert await sessions.get("default", "wc-1") == Versioned(record, second)


async def test_a_token_is_revoked_once(world: Any) -> None:
    tokens = world.store.tokens
    await tokens.put(builders.token_record())
    watch = tokens.watch()
    await told(watch, 2)

    assert await tokens.delete("op1")
    assert not await tokens.delete("op1")
    assert await told(watch, 1) == [Removed("op1")]
    await watch.aclose()


async def test_a_task_is_forgotten_only_as_it_was_seen(world: Any) -> None:
    tasks = world.store.tasks
    first = await tasks.create(builders.task("a"))
    second = await tasks.update(builders.task("a", status="running"), revision=first)

    with pytest.raises(Conflict):
        await tasks.delete("a", revision=first)
    assert (await tasks.get("a")).revision == second
    await tasks.delete("a", revision=second)
    await tasks.delete("a", revision=second)
    assert await tasks.get("a") is None


async def test_a_role_is_kept_replaced_told_and_forgotten(world: Any) -> None:
    roles = world.store.roles
    first = Role(name="desk", permissions=(Permission(allow="tasks:read"),))
    wider = Role(name="desk", permissions=(Permission(allow="tasks:*", on="team-a.>"),))
    await roles.put(first)
    watch = roles.watch()
    seen = await told(watch, 2)
    assert [one.value for one in seen[:1]] == [first]
    assert isinstance(seen[1], Caught)

    await roles.put(wider)
    assert (await told(watch, 1))[0].value == wider
    assert await roles.delete("desk")
    assert await told(watch, 1) == [Removed("desk")]
    assert not await roles.delete("desk")


async def test_a_token_is_replaced_only_at_the_revision_that_was_seen(
    world: Any,
) -> None:
    tokens = world.store.tokens
    record = builders.token_record()
    await tokens.put(record)
    seen = (await told(tokens.watch(), 1))[0]
    used = msgspec.structs.replace(record, last_used=builders.NOW)

    newer = await tokens.replace(used, revision=seen.revision)

    assert newer > seen.revision
    with pytest.raises(Conflict):
        await tokens.replace(record, revision=seen.revision)
    assert await tokens.delete(record.id)
    with pytest.raises(Conflict):
        await tokens.replace(record, revision=newer)
