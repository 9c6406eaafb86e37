"""Two namespaces beside each other: what one of them is told is as if it were alone.

The same node is built twice, with and without what is another namespace's. Whoever is
confined to one must not be able to tell which of the two he asks: every GET of the
OpenAPI document, page by page, and every frame of the console's feed are the same bytes.
A new operation is asked, too, before anybody wrote a test for it.
"""

import asyncio
import contextlib
import json
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from nexa_node.adapters.asgi.app import build_app, describe
from nexa_node.contract.access import NewToken, Scope
from nexa_node.contract.events import Event
from nexa_node.contract.ids import Namespace
from nexa_node.core.authorization import authorize
from nexa_node.core.policies import HttpPolicy
from tests import builders
from tests.builders import identity
from tests.fakes import MemoryStore, settle
from tests.node_scene import Scene, running

OURS, THEIRS = Namespace("team-a"), Namespace("team-b")
DOCUMENT: dict[str, Any] = msgspec.json.decode(describe())
NEEDED = {"topic": "orders.eu", "who": "viewer", "action": "status", "what": "*"}
CALLS = [
    (path, told)
    for path, methods in DOCUMENT["paths"].items()
    for method, told in methods.items()
    if method == "get"
    and "101" not in told["responses"]
    and told["x-nexa-permission"] != "open"
]
ROLES = ("viewer", "operator", "admin", "auditor", "agent")
STATUSES = ("pending", "running", "completed", "failed", "dead_lettered", "cancelled")
PAGES_MAX = 20
KINDS = ("wc", "resize", "ocr")


@dataclass(frozen=True)
class Thing:
    """Something of a namespace: the same names in both, so that they could be mixed up."""

    what: str
    number: int
    where: Namespace
    kind: str
    status: str

    @property
    def id(self) -> str:
        return f"{'a' if self.where == OURS else 'b'}-{self.number}"


things = st.builds(
    Thing,
    st.sampled_from(("task", "agent", "event", "gone", "task_gone")),
    st.integers(0, 9),
    st.sampled_from((OURS, THEIRS)),
    st.sampled_from(KINDS),
    st.sampled_from(STATUSES),
)


def task_of(thing: Thing) -> Any:
    return builders.task(
        thing.id,
        namespace=thing.where,
        type=thing.kind,
        status=thing.status,
        submitted=builders.EARLIER + timedelta(seconds=thing.number),
    )


def agent_of(thing: Thing) -> Any:
    # Agents of two namespaces may have the same id.
    return builders.agent(f"wc-{thing.number}", namespace=thing.where)


def event_of(thing: Thing, at: int) -> Event:
    return builders.event(
        f"e{at:03}-{thing.id}",
        time=builders.EARLIER + timedelta(seconds=at),
        subject=f"agent/wc-{thing.number}",
        data={"namespace": thing.where},
    )


async def happen(scene: Scene, thing: Thing, at: int) -> None:
    """Put it there, or take it away, through the store, as another node would."""
    store = scene.store
    match thing.what:
        case "task":
            store.tasks.seed(task_of(thing))
        case "agent":
            await store.agents.put(agent_of(thing))
        case "event":
            await store.events.append(event_of(thing, at))
        case "gone":
            found = agent_of(thing)
            if f"{found.namespace}.{found.id}" in store.agents.bucket.entries:
                await store.agents.delete(found.namespace, found.id)
        case _:
            if thing.id in store.tasks.bucket.entries:
                await store.tasks.bucket.remove(thing.id)


async def answers(http: httpx.AsyncClient, token: str) -> dict[str, Any]:
    """What every GET answers, all its pages of two."""
    found: dict[str, Any] = {}
    for path, told in CALLS:
        names = {
            each["name"]: each
            for each in told.get("parameters", ())
            if each["in"] == "query"
        }
        query = {
            name: NEEDED.get(name, "1")
            for name, each in names.items()
            if each.get("required")
        }
        if "limit" in names:
            query["limit"] = "2"
        found[path] = await pages(http, token, path, query, names)
        if "namespace" in names:
            within = {**query, "namespace": OURS}
            found[f"{path} {OURS}"] = await pages(http, token, path, within, names)
    return found


async def pages(
    http: httpx.AsyncClient, token: str, path: str, query: dict[str, str], names: Any
) -> list[Any]:
    """One list, to its end."""
    concrete = re.sub(r"\{(\w+)\}", "a-1", path)
    headers = {"Authorization": f"Bearer {token}"}
    found: list[Any] = []
    while True:
        answer = await http.get(concrete, headers=headers, params=query)
        found.append((answer.status_code, plain(answer)))
        following = next_page(answer) if "cursor" in names else None
        if following is None or len(found) == PAGES_MAX:
            return found
        query = {**query, "cursor": following}


def plain(answer: httpx.Response) -> Any:
    """The answer, without what is new in each: the request's id."""
    if answer.status_code == 200:
        return answer.content
    error = answer.json()
    return [error.get(part) for part in ("reason", "detail", "title", "remedy")]


def next_page(answer: httpx.Response) -> str | None:
    if answer.status_code != 200 or b"next_cursor" not in answer.content:
        return None
    return answer.json().get("next_cursor")


async def watched(scene: Scene, frames: list[bytes], role: str) -> None:
    """What a console is told; a role that may not watch is told nothing."""
    who = identity(role, scope=Scope(namespaces=(OURS,)))
    if not authorize(who, "feed").allowed:
        return
    async with contextlib.aclosing(scene.node.feed(who)) as feed:
        async for frame in feed:
            frames.append(msgspec.json.encode(frame))  # noqa: PERF401  # read while it grows


async def lived(
    role: str, before: list[Thing], after: list[Thing], *, both: bool
) -> Any:
    """All that those of `OURS` are told in the life of a node."""

    def there(some: list[Thing]) -> list[tuple[int, Thing]]:
        return [(at, one) for at, one in enumerate(some) if both or one.where == OURS]

    store = MemoryStore()
    async with running(store) as scene, asyncio.TaskGroup() as group:
        app = build_app(scene.node, HttpPolicy(names=("nexa.test",)))
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://nexa.test"
        ) as http:
            made = await scene.node.create_token(
                identity("admin"), NewToken(role=role, scope=Scope(namespaces=(OURS,)))
            )
            for at, thing in there(before):
                await happen(scene, thing, at)
            await settle()
            frames: list[bytes] = []
            feed = group.create_task(watched(scene, frames, role))
            await settle()
            for at, thing in there(after):
                await happen(scene, thing, len(before) + at)
                await settle()
            await scene.clock.advance(5)
            await settle()
            told = await answers(http, made.token)
            feed.cancel()
    return told, frames


def check(role: str, before: list[Thing], after: list[Thing]) -> Any:
    beside, beside_frames = asyncio.run(lived(role, before, after, both=True))
    alone, alone_frames = asyncio.run(lived(role, before, after, both=False))
    for path, pages in alone.items():
        assert beside[path] == pages, path
    assert beside_frames == alone_frames
    return alone, alone_frames


@given(
    st.sampled_from(ROLES),
    st.lists(things, max_size=14),
    st.lists(things, max_size=8),
)
@settings(max_examples=10, deadline=None)
def test_nobody_can_tell_whether_another_namespace_is_there(
    role: str, before: list[Thing], after: list[Thing]
) -> None:
    check(role, before, after)


def many(what: str, where: Namespace, numbers: range) -> list[Thing]:
    return [Thing(what, number, where, "wc", "completed") for number in numbers]


@pytest.mark.parametrize("what", ["task", "event"])
def test_a_neighbour_with_much_crowds_nothing_out(what: str) -> None:
    ours = many(what, OURS, range(3))
    told, frames = check("viewer", [*ours, *many(what, THEIRS, range(10, 520))], [])

    listed = told[f"/v1/{what}s"]
    assert len(listed) == 2, "two pages of two: what is ours was told"
    first = json.loads(frames[0])
    assert len(first[f"{what}s"]) == 3
