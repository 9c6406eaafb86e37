"""A node's real services behind its real port, in memory, for callers that are not async.

    with played() as node:
        answer = node.ask("GET", "/v1/tasks", token=node.tokens["viewer"])

Time runs: a minute each few milliseconds, so that whoever waits gets an answer.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from nexa_node.adapters.asgi.app import build_app
from nexa_node.contract.access import NewToken, Permission
from nexa_node.core.policies import HttpPolicy
from tests import builders
from tests.builders import identity
from tests.fakes import MemoryStore
from tests.node_scene import Scene, running

ROLES = ("viewer", "operator", "admin", "auditor", "agent", "node")
CUSTOM = (Permission(allow="tasks:read"), Permission(allow="agents:*"))
BASE = "http://nexa.test"
MOST_S = 20.0
"""An answer takes milliseconds; what takes this long hangs."""


def stocked() -> MemoryStore:
    """A store with an agent and a task."""
    store = MemoryStore()
    store.tasks.seed(builders.task())
    store.agents.seed(builders.agent("wc-1"))
    return store


@dataclass
class Played:
    """The port, from another thread."""

    scene: Scene
    http: httpx.AsyncClient
    loop: asyncio.AbstractEventLoop
    tokens: dict[str, str] = field(default_factory=dict[str, str])

    def ask(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        headers: Mapping[str, Any] | None = None,
        **how: Any,
    ) -> httpx.Response:
        """Ask the port, and wait for the whole answer."""
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"

        async def call() -> httpx.Response:
            async with asyncio.timeout(MOST_S):
                return await self.http.request(method, path, headers=sent, **how)

        return asyncio.run_coroutine_threadsafe(call(), self.loop).result(MOST_S + 5)


async def make_tokens(scene: Scene) -> dict[str, str]:
    """A token of each role, of one that is custom, and one that ended."""
    admin = identity("admin")
    made: dict[str, str] = {}
    for role in (*ROLES, "custom"):
        if role == "custom":
            from nexa_node.contract.access import NewRole

            await scene.node.create_role(
                admin, NewRole(name="custom", permissions=CUSTOM)
            )
        made[role] = (
            await scene.node.create_token(admin, NewToken(role=role, name=role))
        ).token
    gone = await scene.node.create_token(admin, NewToken(role="admin", name="gone"))
    await scene.node.revoke_token(admin, gone.token.split("_")[1])
    made["expired"] = gone.token
    return made


@asynccontextmanager
async def opened(*, ticking: bool = True) -> AsyncIterator[Played]:
    """The port within a loop."""
    async with running(stocked()) as scene, asyncio.TaskGroup() as group:
        app = build_app(scene.node, HttpPolicy(names=("nexa.test",)))
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as http:
            one = Played(scene, http, asyncio.get_running_loop())
            one.tokens = await make_tokens(scene)

            async def tick() -> None:
                while True:
                    await asyncio.sleep(0.02)
                    await scene.clock.advance(10)

            clock = group.create_task(tick()) if ticking else None
            try:
                yield one
            finally:
                if clock is not None:
                    clock.cancel()


@contextmanager
def played(*, ticking: bool = True) -> Generator[Played]:
    """The port in a loop of its own thread."""
    up = threading.Event()
    there: list[Played] = []
    trouble: list[BaseException] = []
    done: list[asyncio.Event] = []

    async def main() -> None:
        done.append(asyncio.Event())
        async with opened(ticking=ticking) as one:
            there.append(one)
            up.set()
            await done[0].wait()

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:  # noqa: BLE001 (told to the one who waits)
            trouble.append(error)
        finally:
            up.set()

    thread = threading.Thread(target=run, name="played")
    thread.start()
    up.wait()
    try:
        if trouble:
            raise trouble[0]
        yield there[0]
    finally:
        if there:
            with contextlib.suppress(RuntimeError):
                there[0].loop.call_soon_threadsafe(done[0].set)
        thread.join()
    if trouble:
        raise trouble[0]
