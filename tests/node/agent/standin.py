"""A small node for the agent library's tests: real sockets, scripted answers.

It speaks the protocol as the contract has it, keeps tasks and an inbox in memory, and
can be told to misbehave. It shares no code with the library under test but the frames'
field names.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as HttpRequest, Response

NO_ANSWER = object()
PATIENCE = 10.0


@dataclass
class Refusal(Exception):
    """Raised by a scripted answer."""

    code: int
    reason: str
    retryable: bool = False
    retry_after_ms: int | None = None


LEASE_LOST = Refusal(1010, "lease_lost")
BUDGET_EXCEEDED = Refusal(1007, "budget_exceeded")
UNAVAILABLE = Refusal(1014, "unavailable", retryable=True)


@dataclass
class Visit:
    """One connection of an agent that said hello."""

    node: "StandIn"
    socket: ServerConnection
    hello: dict[str, Any]
    received: list[tuple[str, Any]] = field(default_factory=list)
    replies: dict[int, asyncio.Future[Any]] = field(default_factory=dict)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)
    last_id: int = 0

    @property
    def msgpack(self) -> bool:
        return self.socket.subprotocol == "nexa.v1.msgpack"

    async def write(self, frame: Any) -> None:
        if self.msgpack:
            await self.socket.send(msgspec.msgpack.encode(frame))
        else:
            await self.socket.send(json.dumps(frame))

    async def write_raw(self, data: str | bytes) -> None:
        await self.socket.send(data)

    async def notify(self, method: str, params: Any) -> None:
        await self.write({"jsonrpc": "2.0", "method": method, "params": params})

    async def ask(self, method: str, params: Any) -> dict[str, Any]:
        """Call the agent; its whole answer."""
        self.last_id += 1
        number = self.last_id
        self.replies[number] = asyncio.get_running_loop().create_future()
        await self.write(
            {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        )
        return await asyncio.wait_for(self.replies[number], PATIENCE)

    async def assign(
        self,
        task_id: str = "t1",
        *,
        epoch: int = 1,
        type: str = "wc",
        data: Any = None,
        lease_ms: int = 30_000,
        attempt: int = 1,
        deadline: datetime | None = None,
    ) -> dict[str, Any]:
        """Offer a task; the agent's whole answer."""
        self.node.claims[task_id] = epoch
        task = {
            "id": task_id,
            "type": type,
            "status": "assigned",
            "priority": "normal",
            "submitted": now(),
            "submitter": "token:test",
            "data": data,
            "claim_epoch": epoch,
        }
        if deadline is not None:
            task["deadline"] = deadline.isoformat()
        return await self.ask(
            "task.assign",
            {
                "task": task,
                "claim_epoch": epoch,
                "lease_ms": lease_ms,
                "attempt": attempt,
            },
        )

    async def deliver(self, seq: int, data: Any = None, **more: Any) -> None:
        message = {
            "seq": seq,
            "id": f"m{seq}",
            "from": "other",
            "to": {"agent": self.hello["agent"]["id"]},
            "type": "note",
            "data": data,
            "time": now(),
            "attempts": 1,
        }
        await self.notify("message.deliver", message | more)

    async def until(
        self, method: str, *, count: int = 1, where: Callable[[Any], bool] | None = None
    ) -> Any:
        """Wait for the `count`-th call of `method` on this connection; its params."""

        def matching() -> list[Any]:
            return [
                params
                for name, params in self.received
                if name == method and (where is None or where(params))
            ]

        async with asyncio.timeout(PATIENCE), self.news:
            await self.news.wait_for(lambda: len(matching()) >= count)
        return matching()[count - 1]

    def calls(self, method: str) -> list[Any]:
        return [params for name, params in self.received if name == method]

    async def drop(self) -> None:
        """Vanish without a closing handshake, as a killed node does."""
        self.socket.transport.abort()
        await asyncio.wait_for(self.ended.wait(), PATIENCE)

    async def close(self, code: int, reason: str = "") -> None:
        await self.socket.close(code, reason)
        await asyncio.wait_for(self.ended.wait(), PATIENCE)


class StandIn:
    """A node; `async with` it."""

    def __init__(self, name: str = "standin") -> None:
        self.name = name
        self.url = ""
        self.token: str | None = None
        self.subprotocols = ["nexa.v1.json", "nexa.v1.msgpack"]
        self.refuse_with: int | None = None
        self.cluster: list[str] = []
        self.features: list[str] = []
        self.epoch = "e1"
        self.next_seq = 1
        self.gap: dict[str, Any] | None = None
        self.resumes = True
        self.frame_limit = 1_000_000
        self.inflight = 64
        self.script: dict[str, Callable[[Any], Any]] = {}
        self.before_welcome: Callable[[Visit], Any] | None = None
        self.claims: dict[str, int] = {}
        self.results: dict[str, Any] = {}
        self.failures: dict[str, Any] = {}
        self.released: list[str] = []
        self.visits: list[Visit] = []
        self.attempts = 0
        self._arrived = asyncio.Condition()

    async def __aenter__(self) -> "StandIn":
        await self.listen(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.shut()

    async def listen(self, port: int) -> None:
        self._server = await serve(
            self._connected,
            "127.0.0.1",
            port,
            process_request=self._upgrade,
            select_subprotocol=self._select,
            compression=None,
            ping_interval=None,
            close_timeout=1,
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    async def shut(self) -> None:
        for visit in self.visits:
            visit.socket.transport.abort()
        self._server.close()
        await self._server.wait_closed()

    async def visit(self, number: int = 1) -> Visit:
        """Wait for the `number`-th connection that said hello."""
        async with asyncio.timeout(PATIENCE), self._arrived:
            await self._arrived.wait_for(lambda: len(self.visits) >= number)
        return self.visits[number - 1]

    async def tried(self, number: int) -> None:
        """Wait until that many connections were tried."""
        async with asyncio.timeout(PATIENCE), self._arrived:
            await self._arrived.wait_for(lambda: self.attempts >= number)

    async def _upgrade(
        self, connection: ServerConnection, request: HttpRequest
    ) -> Response | None:
        async with self._arrived:
            self.attempts += 1
            self._arrived.notify_all()
        if self.refuse_with is not None:
            return connection.respond(self.refuse_with, "no\n")
        if request.path != "/v1/agent":
            return connection.respond(404, "no\n")
        given = request.headers.get("Authorization")
        if self.token is not None and given != f"Bearer {self.token}":
            return connection.respond(401, "no\n")
        return None

    def _select(self, _: ServerConnection, offered: Any) -> Any:
        return next((name for name in offered if name in self.subprotocols), None)

    async def _connected(self, socket: ServerConnection) -> None:
        visit: Visit | None = None
        try:
            async for data in socket:
                frame = (
                    msgspec.msgpack.decode(data)
                    if isinstance(data, bytes)
                    else json.loads(data)
                )
                if frame.get("method") == "session.hello":
                    visit = await self._hello(socket, frame)
                elif visit is not None:
                    await self._take(visit, frame)
        except ConnectionClosed:
            pass
        finally:
            if visit is not None:
                visit.ended.set()
                for future in visit.replies.values():
                    future.cancel()

    async def _hello(
        self, socket: ServerConnection, frame: dict[str, Any]
    ) -> Visit | None:
        visit = Visit(self, socket, frame["params"])
        if self.before_welcome is not None:
            answer = self.before_welcome(visit)
            if asyncio.iscoroutine(answer):
                await answer
        if "session.hello" in self.script:
            return await self._scripted_hello(visit, frame)
        await visit.write(
            {"jsonrpc": "2.0", "id": frame["id"], "result": self._welcome(visit)}
        )
        async with self._arrived:
            self.visits.append(visit)
            self._arrived.notify_all()
        return visit

    async def _scripted_hello(self, visit: Visit, frame: dict[str, Any]) -> None:
        try:
            self.script["session.hello"](visit.hello)
        except Refusal as refusal:
            await visit.write(_error(frame["id"], refusal))

    def _welcome(self, visit: Visit) -> dict[str, Any]:
        resume = visit.hello.get("resume")
        known = bool(resume) and self.resumes and resume["token"] == "r1"
        welcome = {
            "protocol": "1.0",
            "session": "s1",
            "resume_token": "r1",
            "epoch": self.epoch,
            "resumed": known,
            "next_seq": self.next_seq,
            "node": {"id": "n1", "name": self.name},
            "cluster": self.cluster,
            "heartbeat_ms": 25000,
            "lease_ms": 30000,
            "limits": {
                "frame": self.frame_limit,
                "inflight": self.inflight,
                "outbound": 1000,
            },
            "server_time": now(),
            "features": self.features,
            "unknown_member": {"is": "ignored"},
        }
        if self.gap is not None:
            welcome["gap"] = self.gap
        return welcome

    async def _take(self, visit: Visit, frame: dict[str, Any]) -> None:
        method = frame.get("method")
        if method is None:
            future = visit.replies.get(frame.get("id"))
            if future is not None and not future.done():
                future.set_result(frame)
            return
        if "id" in frame:
            answer = self._answer(frame["id"], method, frame["params"])
            if answer is not NO_ANSWER:
                await visit.write(answer)
        async with visit.news:
            visit.received.append((method, frame["params"]))
            visit.news.notify_all()

    def _answer(self, number: Any, method: str, params: Any) -> Any:
        try:
            if method in self.script:
                result = self.script[method](params)
            else:
                result = self._default(method, params)
        except Refusal as refusal:
            return _error(number, refusal)
        if result is NO_ANSWER:
            return NO_ANSWER
        return {"jsonrpc": "2.0", "id": number, "result": result}

    def _default(self, method: str, params: Any) -> Any:
        if method.startswith("task.") and "claim_epoch" in params:
            return self._of_claim(method, params)
        known = {
            "agent.report": {},
            "session.bye": {},
            "session.refresh": {},
            "inbox.ack": {},
            "inbox.nack": {},
            "task.cancel": {},
        }
        if method not in known:
            raise Refusal(-32601, "method_not_found")
        return known[method]

    def _of_claim(self, method: str, params: Any) -> Any:
        task_id = params["id"]
        if self.claims.get(task_id) != params["claim_epoch"]:
            raise LEASE_LOST
        match method:
            case "task.progress":
                until = datetime.now(UTC) + timedelta(seconds=30)
                return {"lease_until": until.isoformat()}
            case "task.complete":
                self.results[task_id] = params.get("result")
            case "task.fail":
                self.failures[task_id] = params
            case "task.release":
                self.released.append(task_id)
        del self.claims[task_id]
        return {}


def now() -> str:
    return datetime.now(UTC).isoformat()


def _error(number: Any, refusal: Refusal) -> dict[str, Any]:
    data: dict[str, Any] = {"reason": refusal.reason, "retryable": refusal.retryable}
    if refusal.retry_after_ms is not None:
        data["retry_after_ms"] = refusal.retry_after_ms
    error = {"code": refusal.code, "message": refusal.reason, "data": data}
    return {"jsonrpc": "2.0", "id": number, "error": error}
