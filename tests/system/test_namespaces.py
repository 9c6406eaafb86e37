"""Two namespaces on a real node: whoever is for one finds nothing of the other.

Asked is whatever the node's own OpenAPI document has to read, by every role, and an
agent's own view; a list that is new is asked, too. That somebody for all namespaces does
find it there shows that there was something to find.
"""

import asyncio
import contextlib
import json
import re
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.system.conftest import Shell
from tests.system.test_every_refusal import Outside, Peer, token

MARK = "zebra"
"""In every name and text of the other namespace."""
OURS, OTHER = "team-a", f"team-{MARK}"
THEIR_ID = f"{MARK}-1"
SECRET = f"{MARK} data"
NEEDED = {"topic": ">", "who": "viewer", "action": "status", "what": "*", "query": "up"}
ROLES = ("viewer", "operator", "admin", "auditor", "agent")


@pytest.fixture(scope="module")
def url(shared: Shell) -> str:
    return str(shared("node", "status", "--json").json()["url"])


async def busy(peer: Peer) -> str:
    """Do something of everything: a dead letter, a letter, a post; the task's id."""
    once = {"retry": {"max_attempts": 1}, "data": SECRET, "type": f"{MARK}-work"}
    task = (await peer.ok("task.submit", **once))["id"]
    claim = await peer.accept()
    await peer.ok("task.fail", **claim, error={"message": f"{MARK} broke"})
    await peer.ok("task.submit", type=f"{MARK}-idle", data=SECRET, id=f"{MARK}-task")
    for to in ({"agent": f"{MARK}-away"}, {"topic": f"news.{MARK}"}):
        await peer.ok("message.send", to=to, type=f"{MARK}-note", data=SECRET)
    return str(task)


def asked(document: Any) -> list[tuple[str, dict[str, str]]]:
    """Every GET, with and without a namespace, where it takes one."""
    found: list[tuple[str, dict[str, str]]] = []
    for path, methods in document["paths"].items():
        told = methods.get("get")
        if told is None or "101" in told["responses"]:
            continue
        names = {one["name"]: one for one in told.get("parameters", ())}
        query = {
            name: NEEDED.get(name, "1")
            for name, one in names.items()
            if one["in"] == "query" and one.get("required")
        }
        if "limit" in names:
            query["limit"] = "1000"
        concrete = re.sub(r"\{(\w+)\}", THEIR_ID, path)
        found.append((concrete, query))
        if "namespace" in names:
            found += [(concrete, {**query, "namespace": one}) for one in (OURS, OTHER)]
    return found


async def read(url: str, calls: list[tuple[str, dict[str, str]]], who: str) -> set[str]:
    """The calls whose answers tell of the other namespace."""
    telling: set[str] = set()
    async with httpx.AsyncClient(
        base_url=url, trust_env=False, headers={"Authorization": f"Bearer {who}"}
    ) as http:
        for path, query in calls:
            answer = await http.get(path, params=query, timeout=30)
            text = answer.text
            if answer.is_error:  # what was asked is told back
                text = text.replace(OTHER, "").replace(THEIR_ID, "")
            if MARK in text:
                telling.add(path)
    return telling


async def listen(socket: ClientConnection, heard: list[str]) -> None:
    async for frame in socket:
        heard.append(str(frame))  # noqa: PERF401  # read while it grows


async def test_nothing_of_one_namespace_is_told_to_the_other(
    shared: Shell, url: str
) -> None:
    theirs = Outside.of(shared)
    theirs.namespace = OTHER
    everything = token(shared, "admin")
    calls = asked(
        httpx.get(
            f"{url}/openapi.json",
            headers={"Authorization": f"Bearer {everything}"},
            trust_env=False,
        ).json()
    )
    tokens = {role: token(shared, role, "--namespace", OURS) for role in ROLES}
    ours = Outside(shared, theirs.url, tokens["agent"], namespace=OURS)
    console = f"{url.replace('http', 'ws')}/v1/console"
    heard: dict[str, list[str]] = {"all": [], "viewer": [], "admin": []}
    async with asyncio.TaskGroup() as group, contextlib.AsyncExitStack() as stack:
        for who, frames in heard.items():
            held = everything if who == "all" else tokens[who]
            header = {"Authorization": f"Bearer {held}"}
            socket = await stack.enter_async_context(
                connect(
                    console,
                    additional_headers=header,
                    proxy=None,
                    max_size=None,
                )
            )
            frames.append(str(await socket.recv()))
            stack.callback(group.create_task(listen(socket, frames)).cancel)
        listener = await stack.enter_async_context(ours.agent("wc-1", "wc"))
        await listener.ok("topic.subscribe", topic=">")
        them = await stack.enter_async_context(theirs.agent(THEIR_ID, f"{MARK}-work"))
        task = await busy(them)

        calls.append((f"/v1/tasks/{task}", {}))
        for role, held in tokens.items():
            assert await read(url, calls, held) == set(), role
        told = json.dumps(
            [
                await listener.ok("agents.find"),
                await listener.ok("task.list"),
                await listener.call("task.get", id=f"{MARK}-task"),
            ]
        ).replace(f"{MARK}-task", "")
        # Whatever was said before is behind this, in order.
        await listener.ok(
            "message.send", to={"topic": "own"}, type="own", data="the end"
        )
        await listener.told("message.deliver")
        assert MARK not in told + json.dumps(listener.unread)

        found = await read(url, calls, everything)
        assert found >= {
            "/v1/agents", "/v1/tasks", "/v1/queues", "/v1/events", "/v1/topics",
            "/v1/inboxes", "/v1/messages", f"/v1/tasks/{task}",
        }  # fmt: skip
        await until_told(heard["all"], f"{MARK}-task")
        await listener.ok("task.submit", type="last", id="last-task")
        for frames in heard.values():
            await until_told(frames, "last-task")
        for who in ("viewer", "admin"):
            assert MARK not in "".join(heard[who]), who


async def until_told(heard: list[str], word: str) -> None:
    async with asyncio.timeout(30):
        while not any(word in frame for frame in heard):
            await asyncio.sleep(0.02)
