"""The node itself: its binary, its store, its port, asked as its users would ask."""

import ssl
import time
from collections.abc import Awaitable, Callable

import msgspec

from nexa_node.contract.errors import CLOSE_UNSUPPORTED_VERSION, UnsupportedVersion
from nexa_node.contract.frames import AgentInfo, Envelope, Hello, Request
from nexa_node.contract.ids import AgentId
from nexa_node.contract.nodes import NodeStatus
from nexa_node.contract.version import JSON_SUBPROTOCOL
from nexa_node.ports import RoundTrip
from nexa_node.services.health.self_test import Outcome

_FSYNC_SLOW_MS = 100.0
_SECOND_LOOKS = 2


async def binary(describe: Callable[[], Awaitable[tuple[str, str, str]]]) -> Outcome:
    """Find nats-server and verify it.

    Args:
        describe: Answers path, version and SHA-256, or raises what is wrong with it.
    """
    path, version, sha256 = await describe()
    return Outcome(
        "pass", detail=f"nats-server {version}, sha256 {sha256[:12]}…, {path}"
    )


async def store(
    round_trip: Callable[[], Awaitable[RoundTrip]], *, attached: bool = False
) -> Outcome:
    """Publish, read back, delete; win and lose a compare-and-set.

    Of an attached store it is not known whether the write was synced. A slow answer is asked again: one write that met another's fsync is no slow disk.
    """
    took = await round_trip()
    for _ in range(_SECOND_LOOKS):
        if took.publish_ms <= _FSYNC_SLOW_MS:
            break
        took = min(took, await round_trip(), key=lambda one: one.publish_ms)
    detail = (
        f"{'attached, write' if attached else 'synced write'} {took.publish_ms:.1f} ms, read {took.read_ms:.1f} ms,"
        f" compare-and-set {took.cas_ms:.1f} ms"
    )
    if took.publish_ms > _FSYNC_SLOW_MS:
        return Outcome(
            "warn",
            detail=detail,
            cause="the store needs long for one acknowledged write",
            remedy="look at the disks and the network of the attached NATS"
            if attached
            else "nexa selftest --only machine.fsync; put NEXA_HOME on a faster disk",
        )
    return Outcome("pass", detail=detail)


async def rest(url: str, token: str, tls: ssl.SSLContext | None = None) -> Outcome:
    """GET /healthz without a token, be refused without one, GET /v1/node with it."""
    import httpx

    began = time.perf_counter()
    trusted = True if tls is None else tls
    if url.startswith("http:"):
        trusted = False  # no store of certificates is read where none is shown
    async with httpx.AsyncClient(base_url=url, trust_env=False, verify=trusted) as http:
        alive = await http.get("/healthz")
        refused = await http.get("/v1/node")
        told = await http.get("/v1/node", headers={"Authorization": f"Bearer {token}"})
    took_ms = (time.perf_counter() - began) * 1000
    codes = alive.status_code, refused.status_code, told.status_code
    if codes != (200, 401, 200):
        return Outcome(
            "fail",
            detail=f"{url} answered {', '.join(map(str, codes))}",
            cause="expected 200, 401 without a token and 200 with it",
            remedy="nexa node restart",
        )
    status = msgspec.json.decode(told.content, type=NodeStatus)
    return Outcome(
        "pass", detail=f"{status.name} {status.version}, 3 calls in {took_ms:.0f} ms"
    )


async def agent_socket(
    url: str, token: str, tls: ssl.SSLContext | None = None
) -> Outcome:
    """Connect as an agent of a protocol nobody speaks, and be refused as it should be.

    That goes through the socket, the credentials, the codec and the session, and leaves
    no agent behind, neither in the registry nor among the events.
    """
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed
    from websockets.typing import Subprotocol

    began = time.perf_counter()
    address = f"{url.replace('http', 'ws', 1)}/v1/agent"
    async with connect(
        address,
        subprotocols=[Subprotocol(JSON_SUBPROTOCOL)],
        additional_headers={"Authorization": f"Bearer {token}"},
        proxy=None,
        compression=None,
        ssl=tls,
    ) as socket:
        hello = Hello(protocol="0.0", agent=AgentInfo(id=AgentId("selftest")))
        frame = Request(id=1, method="session.hello", params=hello)
        await socket.send(msgspec.json.encode(frame).decode())
        said = msgspec.json.decode(await socket.recv(), type=Envelope)
        try:
            await socket.recv()
        except ConnectionClosed:
            closed = socket.close_code
        else:
            closed = None
    took_ms = (time.perf_counter() - began) * 1000
    code = said.error.code if said.error else None
    if (code, closed) != (UnsupportedVersion.code, CLOSE_UNSUPPORTED_VERSION):
        return Outcome(
            "fail",
            cause=f"an unknown protocol was answered with {code} and closed with {closed}",
            remedy="nexa logs; nexa node restart",
        )
    return Outcome("pass", detail=f"{JSON_SUBPROTOCOL}, round trip {took_ms:.0f} ms")
