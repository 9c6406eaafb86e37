"""Every code of the agent protocol, made to happen on a real node from outside.

A client here is websockets and a codec: it knows docs/protocol.md and nothing else.
`proves` says which code a test is about; the last test holds that against the contract,
so a code that nobody makes happen can't be added.
"""

import asyncio
import contextlib
import itertools
import json
import os
import re
import signal
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import psutil
import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect
from websockets.frames import Opcode

from nexa_node.contract import errors
from nexa_node.contract.errors import APPLICATION_ERRORS, NexaError
from nexa_tui.client.launch import start_node
from tests.system.conftest import Shell, environment, stop_all, until

PATIENCE_S = 20
PAGE = Path(__file__).parents[2] / "docs/protocol.md"
JSON, PACKED = "nexa.v1.json", "nexa.v1.msgpack"
JSON_RPC = {
    errors.PARSE_ERROR: "parse_error",
    errors.INVALID_REQUEST: "invalid_request",
    errors.METHOD_NOT_FOUND: "method_not_found",
    errors.INVALID_PARAMS: "invalid_params",
    errors.INTERNAL_ERROR: "internal",
}
CLOSES = {
    code for name, code in vars(errors).items() if name.startswith("CLOSE_")
}  # fmt: skip

UNREACHABLE = {
    errors.BudgetExceeded.code: "a budget is told to the agent and bounds nothing yet"
    " (issue 5)",
    errors.INTERNAL_ERROR: "a fault of the node's own: nobody can ask for one",
}
"""Codes that no call from outside leads to, and why."""

PROVEN: dict[int, list[str]] = {}
Test = TypeVar("Test", bound=Callable[..., Any])


def proves(*codes: int) -> Callable[[Test], Test]:
    """Say which codes a test makes happen."""

    def note(test: Test) -> Test:
        for code in codes:
            PROVEN.setdefault(code, []).append(test.__name__)
        return test

    return note


# -- a client of its own ---------------------------------------------------------


class Peer:
    """One connection."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.packed = socket.subprotocol == PACKED
        self.unread: list[Any] = []
        self._numbers = itertools.count(1)

    def encoded(self, frame: Any) -> str | bytes:
        return msgspec.msgpack.encode(frame) if self.packed else json.dumps(frame)

    async def say(self, frame: Any) -> None:
        await self.socket.send(self.encoded(frame))

    async def ask(self, method: str, **params: Any) -> int:
        """Send a call; its number."""
        number = next(self._numbers)
        await self.say(
            {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        )
        return number

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        return await self.answer(await self.ask(method, **params))

    async def ok(self, method: str, **params: Any) -> Any:
        """The result of a call that is not refused."""
        answer = await self.call(method, **params)
        assert "result" in answer, (method, answer)
        return answer["result"]

    async def answer(self, number: int | None) -> dict[str, Any]:
        return await self.hear(
            lambda one: "method" not in one and one.get("id") == number
        )

    async def told(self, method: str) -> dict[str, Any]:
        return await self.hear(lambda one: one.get("method") == method)

    async def hear(self, wanted: Callable[[Any], bool]) -> Any:
        """Wait for a frame; others are kept for later."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for frame in self.unread:
                    if wanted(frame):
                        self.unread.remove(frame)
                        return frame
                self.unread.append(await self.read())

    async def read(self) -> Any:
        data = await self.socket.recv()
        return msgspec.msgpack.decode(data) if self.packed else json.loads(data)

    async def closed(self) -> tuple[int, str]:
        """Read on until the node closes; why it did."""
        async with asyncio.timeout(PATIENCE_S):
            with contextlib.suppress(websockets.ConnectionClosed):
                while True:
                    self.unread.append(await self.read())
        assert self.socket.close_code is not None
        return self.socket.close_code, self.socket.close_reason or ""

    async def hello(self, name: str, *capabilities: str, **more: Any) -> dict[str, Any]:
        able = [{"name": one} for one in capabilities]
        params = {"protocol": "1.0", "agent": {"id": name}, "capabilities": able}
        return await self.call("session.hello", **{**params, **more})

    async def accept(self) -> dict[str, Any]:
        """Take the task that comes: its id and its claim."""
        assign = await self.told("task.assign")
        await self.say(
            {"jsonrpc": "2.0", "id": assign["id"], "result": {"accepted": True}}
        )
        told = assign["params"]
        return {"id": told["task"]["id"], "claim_epoch": told["claim_epoch"]}

    async def alive(self) -> None:
        """The session goes on."""
        assert "agents" in await self.ok("agents.find", limit=1)


@dataclass
class Outside:
    """Somebody who knows a node's address, and a namespace that is nobody else's."""

    shell: Shell
    url: str
    token: str
    subprotocol: str = JSON
    namespace: str = field(default_factory=lambda: f"n{uuid.uuid4().hex[:16]}")

    @classmethod
    def of(cls, shell: Shell) -> "Outside":
        url = shell("node", "status", "--json").json()["url"]
        return cls(shell, f"{url.replace('http', 'ws')}/v1/agent", token(shell))

    def spoken(self, subprotocol: str) -> "Outside":
        """The same node, another namespace."""
        fresh = f"n{uuid.uuid4().hex[:16]}"
        return replace(self, subprotocol=subprotocol, namespace=fresh)

    @contextlib.asynccontextmanager
    async def opened(self, token: str | None = "", **how: Any) -> AsyncIterator[Peer]:
        """A connection that has said nothing; without a token if it is None."""
        header = {"Authorization": f"Bearer {token or self.token}"}
        options = {"proxy": None, "max_size": None, "close_timeout": 2, **how}
        async with connect(
            self.url,
            subprotocols=[websockets.Subprotocol(self.subprotocol)],
            additional_headers={} if token is None else header,
            **options,
        ) as socket:
            yield Peer(socket)

    @contextlib.asynccontextmanager
    async def agent(
        self, name: str, *capabilities: str, **hello: Any
    ) -> AsyncIterator[Peer]:
        """An agent that is welcome."""
        async with self.opened() as peer:
            told = {"namespace": self.namespace, **hello}
            answer = await peer.hello(name, *capabilities, **told)
            assert "result" in answer, answer
            yield peer

    async def kept(self) -> dict[str, Any]:
        """All that is stored in this namespace and an operator can see."""
        return await asyncio.to_thread(self._kept)

    def _kept(self) -> dict[str, Any]:
        where = ("--namespace", self.namespace, "--json")
        tasks = self.shell("task", "list", "--limit", "1000", *where).json()["items"]
        posted = self.shell("tail", ">", "-n", "1000", *where).out.splitlines()
        whole = [
            self.shell("task", "show", one["id"], "--json").json() for one in tasks
        ]
        return {"tasks": whole, "posted": [json.loads(line) for line in posted]}

    async def letters(self, name: str) -> list[dict[str, Any]]:
        """What waits in an agent's inbox."""
        async with self.agent(name) as reader:
            await reader.ok("message.send", to={"agent": name}, type="last", data=0)
            await reader.hear(
                lambda one: (
                    one.get("method") == "message.deliver"
                    and one["params"]["type"] == "last"
                )
            )
            return [
                one["params"]
                for one in reader.unread
                if one.get("method") == "message.deliver"
            ]


def token(shell: Shell, role: str = "agent", *words: str) -> str:
    made = shell("token", "create", "--role", role, *words, "--json").json()
    return str(made["token"])


@contextlib.contextmanager
def running(home: Path, *settings: str) -> Iterator[Shell]:
    """A node with settings of its own: `section.key=value`."""
    made = Shell(environment(home))
    sets = [word for each in settings for word in ("--set", each)]
    try:
        start_node(made.environ, flags=("--name", "alpha", "--port", "0", *sets))
        yield made
    finally:
        stop_all(made.environ)


def refused(answer: dict[str, Any], kind: type[NexaError], says: str) -> dict[str, Any]:
    """Check that an answer is this error, in words that help; its data."""
    error = answer["error"]
    told = (error["code"], error["data"]["reason"], error["data"]["retryable"])
    assert told == (kind.code, kind.reason, kind.retryable), error
    _helps(error["message"], says)
    return dict(error["data"])


def malformed(answer: dict[str, Any], code: int, says: str) -> None:
    """Check that an answer is one of JSON-RPC's own errors."""
    error = answer["error"]
    told = (error["code"], error["data"]["reason"], error["data"]["retryable"])
    assert told == (code, JSON_RPC[code], False), error
    _helps(error["message"], says)


def _helps(message: str, says: str) -> None:
    assert says in message, message
    assert message.isprintable()
    assert 10 <= len(message) <= 400
    assert not re.search(r"Traceback|object at 0x|<class|File \"", message), message


@pytest.fixture(scope="module")
def access(shared: Shell) -> Outside:
    return Outside.of(shared)


@pytest.fixture(params=[JSON, PACKED], ids=["json", "msgpack"])
def outside(request: pytest.FixtureRequest, access: Outside) -> Outside:
    return access.spoken(request.param)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    """A node without patience."""
    with running(
        tmp_path_factory.mktemp("short") / "home",
        "sessions.heartbeat_ms=200",
        "sessions.hello_timeout_ms=300",
    ) as shell:
        yield Outside.of(shell)


@pytest.fixture(params=[JSON, PACKED], ids=["json", "msgpack"])
def hasty(request: pytest.FixtureRequest, short: Outside) -> Outside:
    return short.spoken(request.param)


# -- application errors ----------------------------------------------------------


@proves(errors.Unauthorized.code)
async def test_a_call_before_hello_is_unauthorized(outside: Outside) -> None:
    async with outside.opened() as peer:
        answer = await peer.call("task.submit", type="wc", namespace=outside.namespace)
        welcome = await peer.hello("late", namespace=outside.namespace)

    refused(answer, errors.Unauthorized, "session.hello first")
    assert "result" in welcome
    assert (await outside.kept())["tasks"] == []


@proves(errors.Unauthorized.code, errors.CLOSE_UNAUTHORIZED)
@pytest.mark.parametrize("auth", [{}, {"auth": {"token": "nxa_wrong"}}])
async def test_hello_without_a_good_token_is_unauthorized_and_closed(
    outside: Outside, auth: dict[str, Any]
) -> None:
    async with outside.opened(None) as peer:
        answer = await peer.hello("nobody", namespace=outside.namespace, **auth)
        closed = await peer.closed()

    data = refused(answer, errors.Unauthorized, "token")
    assert "nexa token create" in data["remedy"]
    assert closed[0] == errors.CLOSE_UNAUTHORIZED
    assert not outside.shell.connected("nobody")


@proves(errors.Forbidden.code, errors.CLOSE_FORBIDDEN)
async def test_a_role_without_sessions_is_forbidden_and_closed(
    outside: Outside,
) -> None:
    viewer = await asyncio.to_thread(token, outside.shell, "viewer")
    name = f"viewer-{outside.namespace}"
    async with outside.opened(None) as peer:
        answer = await peer.hello(name, auth={"token": viewer})
        closed = await peer.closed()

    data = refused(answer, errors.Forbidden, "viewer lacks")
    assert "--role agent" in data["remedy"]
    assert closed[0] == errors.CLOSE_FORBIDDEN
    assert name not in outside.shell.agents()


@proves(errors.Forbidden.code, errors.CLOSE_FORBIDDEN)
async def test_the_id_of_another_tokens_agent_is_forbidden(outside: Outside) -> None:
    other = await asyncio.to_thread(token, outside.shell)
    async with outside.agent("mine") as first, outside.opened(other) as second:
        answer = await second.hello("mine", namespace=outside.namespace)
        closed = await second.closed()
        await first.alive()

    data = refused(answer, errors.Forbidden, "mine is another token's")
    assert data["details"] == {"member": "agent.id"}
    assert closed[0] == errors.CLOSE_FORBIDDEN


@proves(errors.NotFound.code)
async def test_what_another_namespace_has_is_not_found(outside: Outside) -> None:
    elsewhere = outside.spoken(outside.subprotocol)
    async with outside.agent("here") as here, elsewhere.agent("there") as there:
        task = (await here.ok("task.submit", type="wc"))["id"]
        before = await outside.kept()
        calls: dict[str, dict[str, Any]] = {
            "task.get": {"id": task},
            "task.cancel": {"id": task},
            "task.watch": {"id": task},
            "task.complete": {"id": task, "claim_epoch": 0},
            "task.submit": {"type": "wc", "parent": task},
            "topic.unsubscribe": {"topic": "news"},
            "inbox.nack": {"seq": 1},
            "message.send": {"to": {"topic": "nx-reply-0"}, "type": "x", "data": 1},
        }
        answers = {each: await there.call(each, **calls[each]) for each in calls}
        await there.alive()

    for method, answer in answers.items():
        refused(answer, errors.NotFound, task if "task" in method else "")
    assert await outside.kept() == before
    assert (await elsewhere.kept())["tasks"] == []


@proves(errors.Invalid.code)
async def test_what_means_nothing_is_invalid(outside: Outside) -> None:
    async with outside.agent("odd") as peer:
        type_ = await peer.call("task.submit", type="Bad Type\x1b[31m")
        both = await peer.call(
            "message.send", to={"agent": "a", "topic": "b"}, type="x", data=1
        )
        again = await peer.hello("odd", namespace=outside.namespace)
        await peer.alive()

    data = refused(type_, errors.Invalid, "'Bad Type\\x1b[31m' is not a slug")
    assert data["details"] == {"member": "type"}
    refused(both, errors.Invalid, "exactly one of agent, topic")
    refused(again, errors.Invalid, "session.hello was said before")
    assert await outside.kept() == {"tasks": [], "posted": []}


@proves(errors.Invalid.code)
async def test_a_task_is_known_by_one_name(outside: Outside) -> None:
    async with outside.agent("named") as peer:
        both = await peer.call("task.submit", type="wc", id="t-1", idempotency_key="k")
        await peer.ok("task.submit", type="wc", idempotency_key="k")
        again = await peer.ok("task.submit", type="wc", idempotency_key="k")

    data = refused(both, errors.Invalid, "idempotency_key: give either it or id")
    assert data["details"] == {"member": "idempotency_key"}
    assert "leave one of them out" in data["remedy"]
    assert again["duplicate"] is True
    assert len((await outside.kept())["tasks"]) == 1


@proves(errors.PARSE_ERROR)
async def test_half_of_a_surrogate_pair_is_no_text(access: Outside) -> None:
    outside = access.spoken(JSON)
    message = {"to": {"topic": "t"}, "type": "x"}
    async with outside.agent("half") as peer:
        for text in ("\ud83d", "\ude00 low first", "a\udcff"):  # as os.fsdecode makes
            await peer.ask("message.send", **message, data={"text": text})
            malformed(await peer.answer(None), errors.PARSE_ERROR, "a surrogate pair")
        await peer.ok("message.send", **message, data={"text": "\U0001f600"})
    posted = (await outside.kept())["posted"]

    assert [one["data"]["text"] for one in posted] == ["\U0001f600"]


@proves(errors.PayloadTooLarge.code)
async def test_more_data_than_allowed_is_refused_with_what_to_do(
    outside: Outside,
) -> None:
    large = "x" * 262_143
    async with outside.agent("big", "big") as peer:
        answers = [
            await peer.call("task.submit", type="other", data=large),
            await peer.call("message.send", to={"topic": "t"}, type="x", data=large),
            await peer.call("message.send", to={"agent": "far"}, type="x", data=large),
        ]
        await peer.alive()

    for answer in answers:
        data = refused(answer, errors.PayloadTooLarge, "data is 262,145 bytes")
        assert data["details"] == {"size": 262_145, "limit": 262_144}
        assert "$ref" in data["remedy"]
    assert await outside.kept() == {"tasks": [], "posted": []}
    assert await outside.letters("far") == []


@proves(errors.RateLimited.code)
async def test_more_messages_than_the_burst_are_limited(outside: Outside) -> None:
    async with outside.agent("fast") as peer:
        batch = [
            {
                "jsonrpc": "2.0",
                "id": n,
                "method": "message.send",
                "params": {"to": {"topic": "t"}, "type": "x", "data": n},
            }
            for n in range(128)
        ]
        await peer.say(batch)
        answers = await peer.hear(lambda one: isinstance(one, list))
        await peer.alive()
    stored = {one["data"] for one in (await outside.kept())["posted"]}

    assert {one["id"] for one in answers} == set(range(128))
    over = [one for one in answers if "error" in one]
    assert over
    for answer in over:
        data = refused(answer, errors.RateLimited, "50 messages a second")
        assert 0 < data["retry_after_ms"] <= 1000
        assert "sessions.messages_per_s" in data["remedy"]
    assert stored == {one["id"] for one in answers if "result" in one}


@proves(errors.Conflict.code)
async def test_a_finished_task_is_not_cancelled(outside: Outside) -> None:
    async with outside.agent("done", "done") as peer:
        await peer.ok("task.submit", type="done")
        claim = await peer.accept()
        await peer.ok("task.complete", **claim, result=1)
        before = await outside.kept()
        answer = await peer.call("task.cancel", id=claim["id"])
        await peer.alive()

    data = refused(answer, errors.Conflict, "is completed")
    assert data["details"] == {"status": "completed"}
    assert await outside.kept() == before


@proves(errors.Duplicate.code)
async def test_another_task_under_the_same_id_is_a_duplicate(outside: Outside) -> None:
    name = f"d{uuid.uuid4().hex}"
    async with outside.agent("twin") as peer:
        await peer.ok("task.submit", type="wc", data=1, id=name)
        before = await outside.kept()
        same = await peer.ok("task.submit", type="wc", data=1, id=name)
        other = await peer.call("task.submit", type="wc", data=2, id=name)
        await peer.alive()

    data = refused(other, errors.Duplicate, f"task {name} exists and is another")
    assert data["details"] == {"type": "wc", "status": "pending"}
    assert same["duplicate"] is True
    assert await outside.kept() == before


@proves(errors.Duplicate.code)
async def test_a_request_is_sent_once(outside: Outside) -> None:
    ask = {"to": {"agent": "far"}, "type": "ask", "data": 1, "id": "ask-1"}
    async with outside.agent("asks") as peer:
        first = await peer.call("message.request", **ask, timeout_ms=1)
        second = await peer.call("message.request", **ask, timeout_ms=1)

    refused(first, errors.DeadlineExceeded, "ask-1")
    refused(second, errors.Duplicate, "ask-1 was sent before")
    assert [one["id"] for one in await outside.letters("far")] == ["ask-1"]


@proves(errors.LeaseLost.code)
async def test_a_claim_that_is_over_is_lost(outside: Outside) -> None:
    async with outside.agent("slow", "job") as peer:
        await peer.ok("task.submit", type="job")
        old = await peer.accept()
        await peer.ok("task.release", **old)
        new = await peer.accept()
        await peer.ok("task.progress", **new, pct=1)
        before = await stored_by(outside, new["id"], "running")
        answers = [
            await peer.call(f"task.{method}", **old)
            for method in ("progress", "complete", "fail", "release")
        ]
        after = (await outside.kept())["tasks"]
        done = await peer.ok("task.complete", **new, result=1)

    for answer in answers:
        data = refused(answer, errors.LeaseLost, "drop what you have of it")
        assert data["details"]["claim_epoch"] == new["claim_epoch"]
    assert after == before
    assert done == {}


async def stored_by(outside: Outside, task: str, status: str) -> list[dict[str, Any]]:
    """Wait until the store says so of a task; all tasks then."""

    def look() -> Any:
        tasks = outside._kept()["tasks"]
        return [one["status"] for one in tasks if one["id"] == task] == [
            status
        ] and tasks

    return await asyncio.to_thread(until, look, f"{task} is {status}")


@proves(errors.DeadlineExceeded.code)
async def test_what_nobody_answers_in_time_has_exceeded_its_deadline(
    outside: Outside,
) -> None:
    past = "2020-01-01T00:00:00Z"
    async with outside.agent("waits") as peer, outside.agent("mute") as mute:
        late = await peer.call("task.submit", type="wc", deadline=past)
        unanswered = await peer.call(
            "message.request",
            to={"agent": "mute"},
            type="ask",
            timeout_ms=50,
            durable=False,
        )
        asked = (await mute.told("message.deliver"))["params"]
        too_late = await mute.call(
            "message.send", to={"topic": asked["reply_to"]}, type="answer", data=1
        )
        await peer.alive()

    refused(late, errors.DeadlineExceeded, "time is over before it is submitted")
    refused(unanswered, errors.DeadlineExceeded, "no answer within 50 ms")
    refused(too_late, errors.NotFound, "nobody waits for this answer")
    assert await outside.kept() == {"tasks": [], "posted": []}


@proves(errors.Cancelled.code)
async def test_the_work_of_a_cancelled_task_is_refused(outside: Outside) -> None:
    async with outside.agent("stop", "job") as peer:
        await peer.ok("task.submit", type="job")
        claim = await peer.accept()
        await peer.ok("task.cancel", id=claim["id"])
        notice = await peer.told("task.cancelled")
        before = await outside.kept()
        answer = await peer.call("task.complete", **claim, result=1)
        await peer.alive()

    assert notice["params"] == claim
    refused(answer, errors.Cancelled, "stop working on it")
    assert before["tasks"][0]["status"] == "cancelled"
    assert await outside.kept() == before


@proves(errors.Rejected.code)
async def test_a_task_that_is_rejected_is_offered_to_another(outside: Outside) -> None:
    """The one error of the list that agents say and the node hears."""
    no: dict[str, Any] = {
        "code": errors.Rejected.code,
        "message": "not mine",
        "data": {
            "reason": "rejected",
            "retryable": True,
            "details": {"reason": "unable"},
        },
    }
    async with outside.agent("picky", "job") as picky:
        await picky.ok("task.submit", type="job")
        assign = await picky.told("task.assign")
        async with outside.agent("ready", "job") as ready:
            await picky.say({"jsonrpc": "2.0", "id": assign["id"], "error": no})
            claim = await ready.accept()
            await ready.ok("task.complete", **claim, result=1)
        await picky.alive()
    (task,) = (await outside.kept())["tasks"]

    assert (task["agent"], task["attempts"]) == ("ready", 1)
    outcomes = [(one["agent"], one["outcome"]) for one in task["history"]]
    assert outcomes == [("picky", "rejected"), ("ready", "completed")]


@proves(errors.UnsupportedVersion.code, errors.CLOSE_UNSUPPORTED_VERSION)
async def test_another_version_of_the_protocol_is_named_and_closed(
    outside: Outside,
) -> None:
    async with outside.opened() as peer:
        answer = await peer.hello("new", protocol="9.0", namespace=outside.namespace)
        closed = await peer.closed()

    data = refused(answer, errors.UnsupportedVersion, "this node speaks 1.0")
    assert data["details"] == {"supported": ["1.0"]}
    assert closed[0] == errors.CLOSE_UNSUPPORTED_VERSION
    assert "new" not in outside.shell.agents()


@proves(errors.NoAgentAvailable.code)
async def test_nobody_who_could_get_it_is_said_at_once(outside: Outside) -> None:
    async with outside.agent("alone") as peer:
        capability = await peer.call(
            "message.send", to={"capability": "none"}, type="x", data=1
        )
        away = await peer.call(
            "message.send", to={"agent": "far"}, type="x", data=1, durable=False
        )
        await peer.alive()

    data = refused(capability, errors.NoAgentAvailable, "has the capability none")
    assert (data["retry_after_ms"], data["remedy"]) == (1000, "nexa agents list")
    refused(away, errors.NoAgentAvailable, "far is not connected")
    assert await outside.letters("far") == []


# -- a store that is silent, a node that goes ------------------------------------


@proves(errors.Unavailable.code)
@pytest.mark.parametrize("subprotocol", [JSON, PACKED], ids=["json", "msgpack"])
async def test_a_silent_store_is_unavailable_and_the_same_call_helps(
    subprotocol: str, narrow: tuple[Outside, "Store"]
) -> None:
    outside, store = narrow[0].spoken(subprotocol), narrow[1]
    name = f"u{uuid.uuid4().hex}"
    calls: dict[str, dict[str, Any]] = {
        "task.submit": {"type": "wc", "id": name, "data": 1},
        "message.send": {"to": {"agent": "far"}, "type": "x", "data": 1, "id": "m-1"},
        "topic.subscribe": {"topic": "t"},
    }
    async with outside.agent("waits") as peer:
        with store.stopped():
            answers = {each: await peer.call(each, **calls[each]) for each in calls}
            await peer.alive()  # what is in memory is still told
        for each, params in calls.items():
            await eventually_ok(peer, each, params)
        read = await peer.ok("task.get", id=name)

    for answer in answers.values():
        refused(answer, errors.Unavailable, "")
    assert (read["status"], read["data"]) == ("pending", 1)
    assert len((await outside.kept())["tasks"]) == 1
    assert [one["id"] for one in await outside.letters("far")] == ["m-1"]


async def eventually_ok(peer: Peer, method: str, params: dict[str, Any]) -> None:
    """Say it again until the node takes it, as the error's `retryable` allows."""
    async with asyncio.timeout(PATIENCE_S):
        while "error" in (answer := await peer.call(method, **params)):
            assert answer["error"]["data"]["retryable"], answer
            await asyncio.sleep(answer["error"]["data"].get("retry_after_ms", 50) / 1e3)


class Store:
    """A node's nats-server, which may be made to say nothing."""

    def __init__(self, node: int) -> None:
        self.pids = [
            each.pid
            for each in psutil.Process(node).children(recursive=True)
            if "nats-server" in each.name()
        ]
        assert self.pids

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        for pid in self.pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in self.pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Outside, Store]]:
    """A node that does not wait for its store, nor for those who don't read."""
    home = tmp_path_factory.mktemp("narrow") / "home"
    settings = (
        "store.request_timeout_ms=300",
        "sessions.outbound_bytes=300000",
        "http.write_timeout_ms=500",
    )
    with running(home, *settings) as shell:
        pid = shell("node", "status", "--json").json()["pid"]
        yield Outside.of(shell), Store(pid)


@proves(errors.Draining.code, errors.CLOSE_GOING_AWAY)
@pytest.mark.parametrize("subprotocol", [JSON, PACKED], ids=["json", "msgpack"])
async def test_a_node_that_drains_takes_nothing_new_and_lets_work_finish(
    tmp_path: Path, subprotocol: str
) -> None:
    with running(tmp_path / "home") as shell:
        outside = Outside.of(shell).spoken(subprotocol)
        async with (
            outside.agent("works", "job") as works,
            outside.opened() as late,
        ):
            await works.ok("task.submit", type="job")
            claim = await works.accept()
            assert (await asyncio.to_thread(shell, "node", "drain")).code == 0
            asked = await works.told("session.go_away")
            submitted = await works.call("task.submit", type="job")
            hello = await late.hello("late", namespace=outside.namespace)
            hello_closed = await late.closed()
            with pytest.raises(websockets.InvalidStatus) as upgrade:
                async with outside.opened():
                    pass
            tasks = (await outside.kept())["tasks"]
            done = await works.ok("task.complete", **claim, result=1)
            closed = await works.closed()

    assert asked["params"]["reason"] == "the node is draining"
    refused(submitted, errors.Draining, "takes no new tasks")
    data = refused(hello, errors.Draining, "takes no new sessions")
    assert "another node" in data["remedy"]
    assert upgrade.value.response.status_code == errors.Draining.status
    assert [one["id"] for one in tasks] == [claim["id"]]
    assert done == {}
    assert hello_closed[0] == closed[0] == errors.CLOSE_GOING_AWAY


# -- JSON-RPC's own errors -------------------------------------------------------


@proves(errors.PARSE_ERROR)
async def test_what_is_no_document_is_a_parse_error(outside: Outside) -> None:
    packed = outside.subprotocol == PACKED
    twice = b"\x82\xa1a\x01\xa1a\x02" if packed else '{"a":1,"a":2}'
    async with outside.agent("garbled") as peer:
        answers = []
        for frame in (b"\x81" if packed else "{", twice):
            await peer.socket.send(frame)
            answers.append(await peer.answer(None))
        await peer.alive()

    malformed(answers[0], errors.PARSE_ERROR, "truncated")
    malformed(answers[1], errors.PARSE_ERROR, "the same key twice")


@proves(errors.INVALID_REQUEST)
async def test_what_is_no_call_is_an_invalid_request(outside: Outside) -> None:
    async with outside.agent("vague") as peer:
        await peer.say({"jsonrpc": "1.0", "id": "v", "method": "agents.find"})
        version = await peer.hear(lambda one: one.get("id") == "v")
        await peer.say({"jsonrpc": "2.0", "id": "n"})
        nothing = await peer.hear(lambda one: one.get("id") == "n")
        await peer.alive()

    malformed(version, errors.INVALID_REQUEST, "2.0")
    malformed(nothing, errors.INVALID_REQUEST, "a method, a result or an error")


@proves(errors.METHOD_NOT_FOUND)
async def test_a_method_that_is_not_there_is_named(outside: Outside) -> None:
    async with outside.agent("guess") as peer:
        answer = await peer.call("task.explode\x1b[2J")
        await peer.alive()

    malformed(answer, errors.METHOD_NOT_FOUND, "'task.explode\\x1b[2J'")


@proves(errors.INVALID_PARAMS)
async def test_parameters_of_a_wrong_type_are_named(outside: Outside) -> None:
    async with outside.agent("types") as peer:
        wrong = await peer.call("task.submit", type="wc", retry={"max_attempts": "3"})
        missing = await peer.call("task.submit")
        await peer.alive()

    malformed(wrong, errors.INVALID_PARAMS, "$.retry.max_attempts")
    malformed(missing, errors.INVALID_PARAMS, "missing required field `type`")
    assert (await outside.kept())["tasks"] == []


# -- close codes -----------------------------------------------------------------


@proves(errors.CLOSE_SLOW)
@pytest.mark.parametrize("subprotocol", [JSON, PACKED], ids=["json", "msgpack"])
async def test_one_that_does_not_read_is_slow_and_closed(
    subprotocol: str, narrow: tuple[Outside, Store]
) -> None:
    outside = narrow[0].spoken(subprotocol)
    name = f"deaf-{outside.namespace}"
    async with outside.agent(name) as peer:
        task = (await peer.ok("task.submit", type="x", data="x" * 200_000))["id"]
        peer.socket.transport.pause_reading()
        for _ in range(100):
            await peer.ask("task.get", id=task)
        await asyncio.to_thread(
            until, lambda: connections(outside) == 0, "it is closed"
        )
        peer.socket.transport.resume_reading()
        closed = await peer.closed()
    async with outside.agent(name) as peer:
        await peer.alive()

    assert closed[0] == errors.CLOSE_SLOW
    assert "slow" in closed[1]


def connections(outside: Outside) -> int:
    """Agents with a connection: those within their grace have none."""
    told = outside.shell("cluster", "status", "--json").json()
    return int(told["nodes"][0]["agents"])


@proves(errors.CLOSE_TAKEN_OVER)
async def test_the_newer_connection_of_an_agent_takes_over(outside: Outside) -> None:
    async with outside.agent("one") as old, outside.agent("one") as new:
        closed = await old.closed()
        await new.alive()

    assert closed == (errors.CLOSE_TAKEN_OVER, "taken_over")


@proves(errors.CLOSE_HEARTBEAT)
async def test_one_that_answers_no_ping_is_closed(hasty: Outside) -> None:
    async with hasty.agent("still") as still, hasty.agent("lively") as lively:
        answer_no_pings(still.socket)
        closed = await still.closed()
        await lively.alive()  # it sent nothing meanwhile but pongs

    assert closed[0] == errors.CLOSE_HEARTBEAT
    assert "heartbeat" in closed[1]


def answer_no_pings(socket: ClientConnection) -> None:
    """Have a client take pings and say nothing."""
    protocol = socket.protocol
    take = protocol.recv_frame

    def recv_frame(frame: Any) -> None:
        if frame.opcode is not Opcode.PING:
            take(frame)

    protocol.recv_frame = recv_frame  # type: ignore[method-assign]  # no option says so


@proves(errors.CLOSE_GOING_AWAY)
async def test_an_operator_may_send_an_agent_away(outside: Outside) -> None:
    name = f"away-{outside.namespace}"
    async with outside.agent(name, namespace="default") as peer:
        told = await asyncio.to_thread(outside.shell, "agents", "disconnect", name)
        closed = await peer.closed()
    async with outside.agent(name, namespace="default") as peer:
        await peer.alive()

    assert told.code == 0
    assert closed == (errors.CLOSE_GOING_AWAY, "disconnected by an operator")


@proves(errors.CLOSE_UNAUTHORIZED)
async def test_one_that_never_says_hello_is_closed(hasty: Outside) -> None:
    async with hasty.opened() as peer:
        closed = await peer.closed()

    assert closed[0] == errors.CLOSE_UNAUTHORIZED
    assert "no valid session.hello within 300 ms" in closed[1]


@proves(errors.CLOSE_UNAUTHORIZED)
async def test_a_token_that_expires_closes_with_4501(outside: Outside) -> None:
    brief = await asyncio.to_thread(token, outside.shell, "agent", "--expires", "1s")
    async with outside.opened(brief) as peer:
        assert "result" in await peer.hello("brief", namespace=outside.namespace)
        code, reason = await peer.closed()

    assert "expired" in reason
    assert code == errors.CLOSE_UNAUTHORIZED


@proves(errors.CLOSE_PROTOCOL_ERROR)
async def test_garbage_before_hello_is_closed(outside: Outside) -> None:
    async with outside.opened() as peer:
        for _ in range(16):
            with contextlib.suppress(websockets.ConnectionClosed):
                await peer.say([])
        code, reason = await peer.closed()

    assert code == errors.CLOSE_PROTOCOL_ERROR
    assert "malformed frames before hello" in reason
    for answer in peer.unread:
        malformed(answer, errors.INVALID_REQUEST, "a batch of 0")


@proves(errors.CLOSE_PROTOCOL_ERROR)
async def test_frames_of_the_other_kind_are_closed(outside: Outside) -> None:
    async with outside.agent("mixed") as peer:
        await peer.socket.send("{}" if peer.packed else b"\x80")
        closed = await peer.closed()

    assert closed == (
        errors.CLOSE_PROTOCOL_ERROR,
        "protocol_error: wrong frame type",
    )


@proves(errors.CLOSE_REVOKED)
async def test_a_revoked_token_ends_its_sessions(outside: Outside) -> None:
    shell = outside.shell
    made = await asyncio.to_thread(
        shell, "token", "create", "--role", "agent", "--json"
    )
    gone = made.json()
    async with outside.opened(gone["token"]) as peer, outside.agent("stays") as stays:
        assert "result" in await peer.hello("goes", namespace=outside.namespace)
        await asyncio.to_thread(shell, "token", "revoke", gone["id"])
        closed = await peer.closed()
        await stays.alive()

    assert closed == (errors.CLOSE_REVOKED, "the token was revoked")


# -- the list can't rot ----------------------------------------------------------


def test_every_code_is_made_to_happen_here() -> None:
    every = {kind.code for kind in APPLICATION_ERRORS} | set(JSON_RPC) | CLOSES

    assert set(PROVEN) | set(UNREACHABLE) == every
    assert not set(PROVEN) & set(UNREACHABLE)
    for code, tests in PROVEN.items():
        assert all(name in globals() for name in tests), (code, tests)


def test_the_page_tells_every_code_and_no_other() -> None:
    page = PAGE.read_text()
    told = {
        int(row[0]): row[1:]
        for row in re.findall(
            r"^\| (\d{4}) \| (\w+) \| (yes|no) \| (\d{3}) \|$", page, re.MULTILINE
        )
    }
    closes = {int(code) for code in re.findall(r"^\| (4\d{3}) \| ", page, re.MULTILINE)}
    own = {int(code) for code in re.findall(r"(-32\d{3}) \(", page)}

    assert told == {
        kind.code: (kind.reason, "yes" if kind.retryable else "no", str(kind.status))
        for kind in APPLICATION_ERRORS
    }
    assert closes == CLOSES
    assert own == set(JSON_RPC)
