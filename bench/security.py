"""What TLS costs: a request, a message, a connection, and memory of an idle one.

Two nodes, one plain on loopback and one with `tls.mode = "on"`, take turns; figures of the
same calls over connections that are kept, and processor time of node and nats-server, which
is what is judged: of the times, half is the clients' own TLS.

    python bench/security.py [--runs 5] [--calls 2000] [--json]
"""

import argparse
import asyncio
import socket
import ssl
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import psutil
from series import Goal, Series, report
from throwaway import Node, running_node

from nexa_node.agent import Agent, Deliver
from nexa_node.contract.errors import NoAgentAvailable

PLAIN, TLS = "plain", "TLS 1.3"
PACE = {"sessions_messages_per_s": 1e6, "sessions_messages_burst": 1_000_000}
"""The default of 50 a second for each agent would be what is measured."""
IDLE = 200
"""Connections that say nothing, for the memory of one."""
WINDOW = 32
ROOM = {"http_header_timeout_ms": 60_000, "http_waiting_sockets": 10_000}


def context_of(node: Node) -> ssl.SSLContext | None:
    if node.url.startswith("http:"):
        return None
    folder = Path(node.environ["NEXA_HOME"]) / "state/node/bench/tls"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(folder / "node-ca.pem")
    return context


class Spent:
    """Processor time of a node and its nats-server, in a block."""

    def __init__(self, node: Node) -> None:
        own = psutil.Process(node.pid)
        self._all = [own, *own.children(recursive=True)]
        self._own = own
        self.began, self.s = 0.0, 0.0

    def total(self) -> float:
        return sum(sum(one.cpu_times()[:2]) for one in self._all)

    def rss(self) -> int:
        return self._own.memory_info().rss

    def __enter__(self) -> "Spent":
        self.began = self.total()
        return self

    def __exit__(self, *_: object) -> None:
        self.s = self.total() - self.began


async def requests(node: Node, who: str, calls: int, series: Series) -> None:
    """GET /v1/node over one connection, one after the other."""
    context = context_of(node)
    headers = {"Authorization": f"Bearer {node.token}"}
    async with httpx.AsyncClient(
        base_url=node.url, headers=headers, trust_env=False, verify=context or False
    ) as http:
        await http.get("/v1/node")
        took: list[float] = []
        with Spent(node) as spent:
            for _ in range(calls):
                began = time.perf_counter()
                await http.get("/v1/node")
                took.append(time.perf_counter() - began)
    series.add(
        who,
        request_p50_us=statistics.median(took) * 1e6,
        request_cpu_us=spent.s / calls * 1e6,
    )


@asynccontextmanager
async def pair(node: Node) -> AsyncIterator[tuple[Agent, asyncio.Semaphore]]:
    """One who sends, and one who hears: what it acknowledged is counted."""
    context, heard = context_of(node), asyncio.Semaphore(0)
    words = {"url": node.url, "token": node.token, "tls": context}
    asker, hearer = Agent("asker", **words), Agent("hearer", **words)

    async def hear(letter: Deliver) -> object:
        heard.release()
        return letter.data

    hearer.on_message(hear)
    async with hearer, asker:
        yield asker, heard


async def heard_of(asker: Agent) -> None:
    """Wait until the node knows both ends: it learns of agents from its store."""
    async with asyncio.timeout(10):
        while True:
            try:
                await asker.request("hearer", "question", "x" * 200)
            except NoAgentAvailable:
                await asyncio.sleep(0.02)
            else:
                return


async def messages(node: Node, who: str, calls: int, series: Series) -> None:
    """Questions without durability one by one; durable messages, some at once."""
    async with pair(node) as (asker, heard):
        await heard_of(asker)
        took: list[float] = []
        with Spent(node) as spent:
            for _ in range(calls):
                began = time.perf_counter()
                await asker.request("hearer", "question", "x" * 200)
                took.append(time.perf_counter() - began)
        series.add(
            who,
            ask_p50_us=statistics.median(took) * 1e6,
            ask_cpu_us=spent.s / calls * 1e6,
        )
        while not heard.locked():
            await heard.acquire()
        gate = asyncio.Semaphore(WINDOW)

        async def one() -> None:
            async with gate:
                await asker.send("hearer", "note", "x" * 200)

        with Spent(node) as spent:
            began = time.perf_counter()
            async with asyncio.TaskGroup() as group:
                for _ in range(calls):
                    group.create_task(one())
            for _ in range(calls):
                await heard.acquire()
            took_s = time.perf_counter() - began
    series.add(who, durable_per_s=calls / took_s, durable_cpu_us=spent.s / calls * 1e6)


@contextmanager
def connection(node: Node, context: ssl.SSLContext | None) -> Iterator[socket.socket]:
    host, _, port = node.url.partition("://")[2].rpartition(":")
    raw = socket.create_connection((host, int(port)))
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        made = context.wrap_socket(raw, server_hostname=host) if context else raw
        raw = made
        yield made
    finally:
        raw.close()


def connections(node: Node, who: str, series: Series) -> None:
    """A connection and its first answer; the memory of those that are kept alive."""
    context = context_of(node)
    call = b"GET /v1/node HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "
    call += node.token.encode() + b"\r\n\r\n"
    took: list[float] = []
    with Spent(node) as spent:
        for _ in range(IDLE):
            began = time.perf_counter()
            with connection(node, context) as one:
                one.sendall(call)
                one.recv(65536)
            took.append(time.perf_counter() - began)
    held = []
    before = spent.rss()
    for _ in range(IDLE):
        made = connection(node, context)
        one = made.__enter__()
        held.append(made)
        one.sendall(call)
        one.recv(65536)
    grown = spent.rss() - before
    for made in held:
        made.__exit__(None, None, None)
    series.add(
        who,
        connect_p50_us=statistics.median(took) * 1e6,
        connect_cpu_us=spent.s / IDLE * 1e6,
        idle_kb=grown / IDLE / 1024,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    series = Series()
    for _ in range(given.runs):
        for who, mode in ((PLAIN, "auto"), (TLS, "on")):
            with running_node(tls_mode=mode, **PACE, **ROOM) as node:
                connections(node, who, series)
                asyncio.run(requests(node, who, given.calls, series))
                asyncio.run(messages(node, who, given.calls, series))
    goals = [
        Goal(
            f"{what}, TLS to plain",
            series.median(TLS, what) / series.median(PLAIN, what),
            1.10,
        )
        for what in ("durable_cpu_us", "ask_cpu_us")
    ]
    return report(series, goals, runs=given.runs, as_json=given.json)


if __name__ == "__main__":
    raise SystemExit(main())
