"""What it costs to know who calls and whether he may: beside all else that a call costs.

The parts are timed by themselves, in this process, by processor time, with a token's
record among 1,000 others: who holds a token; may he; is the name he called us by ours.
The whole is a real node's processor time, its nats-server's included, for one request of
REST, one question with its answer, one durable message, and for messages from eight to
eight agents with 64 in a frame, than which nothing is cheaper. The ratio is parts by whole:
taking the parts out of a node and comparing two of them says less, since a few percent
are lost in the noise of two processes.

    python bench/access.py [--runs 5] [--calls 2000] [--json]
"""

import argparse
import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from os import urandom

from messages import routed
from security import PACE, messages, requests
from series import Goal, Series, report
from throwaway import running_node

from nexa_node.adapters.asgi.auth import bearer_token, host_is_ours, origin_is_ours
from nexa_node.adapters.asgi.reading import header_of
from nexa_node.adapters.host.clock import SystemClock
from nexa_node.contract.access import Identity, NewToken, Permission, Scope
from nexa_node.contract.ids import AgentId, Namespace
from nexa_node.contract.messages import Address
from nexa_node.core.access import ROLE_GRANTS
from nexa_node.core.authorization import demand
from nexa_node.ports import Caught, Removed, TokenRecord, Versioned
from nexa_node.services.access.access import Access
from nexa_node.services.access.traffic import check_send, may_receive

TOKENS = 1000
NODE = "whole, on a node"
HOST = b"127.0.0.1:6392"
TEAM = Namespace("team-a")


class Nowhere:
    """Token records that are kept in `Access` alone, and a journal nobody reads."""

    async def put(self, record: TokenRecord) -> None:
        del record

    async def replace(self, record: TokenRecord, *, revision: int) -> int:
        del record
        return revision + 1

    async def delete(self, token_id: str) -> bool:
        return bool(token_id)

    async def watch(self) -> AsyncIterator[Versioned[TokenRecord] | Removed | Caught]:
        yield Caught()

    def record(self, kind: str, **told: object) -> None:
        del kind, told


def holders() -> dict[str, Identity]:
    """Who may ask: one of a built-in role, one with a scope, one of a long custom role."""
    ends = datetime.now(UTC) + timedelta(days=30)
    scope = Scope(
        namespaces=(TEAM,),
        may_send=("topic:orders.>", "agent:*", "capability:wc"),
        may_receive=("topic:orders.>", "topic:audit.*", "capability:wc"),
    )
    other = tuple(Permission(allow=f"other{n}:read", on=f"x{n}.>") for n in range(50))
    custom = (*other, *ROLE_GRANTS["agent"])
    return {
        "a role": Identity(id="token:a", role="agent", name="a", expires=ends),
        "a scope": Identity(
            id="token:b", role="agent", name="b", expires=ends, scope=scope
        ),
        "53+ permissions": Identity(
            id="token:c", role="custom", name="c", expires=ends, permissions=custom
        ),
    }


async def known() -> tuple[Access, str]:
    """The tokens of a cluster, and one of them."""
    nowhere = Nowhere()
    access = Access(
        tokens=nowhere, clock=SystemClock(), journal=nowhere, entropy=urandom
    )
    admin = Identity(id="token:admin", role="admin", name="admin")
    made = [
        await access.create(NewToken(role="agent", name=str(number)), by=admin)
        for number in range(TOKENS)
    ]
    return access, made[TOKENS // 2].token


def cpu_us(call: Callable[[], object], calls: int) -> float:
    """Processor time of one call, in microseconds, the loop around it taken off."""
    for _ in range(calls // 10):
        call()
    began = time.process_time()
    for _ in range(calls):
        call()
    middle = time.process_time()
    for _ in range(calls):
        _nothing()
    return max(0.0, 2 * middle - began - time.process_time()) / calls * 1e6


def _nothing() -> None:
    return


def parts(calls: int, series: Series) -> None:
    """Each of the checks by itself, then as a request or a message meets them."""
    access, token = asyncio.run(known())
    scope = {
        "type": "http",
        "path": "/v1/node",
        "headers": [
            (b"host", HOST),
            (b"accept", b"*/*"),
            (b"user-agent", b"bench"),
            (b"authorization", f"Bearer {token}".encode()),
        ],
    }
    names = frozenset(("nexa.example",))

    def gate() -> None:
        host = header_of(scope, b"host")
        host_is_ours(host, names=names, local="127.0.0.1")
        origin = header_of(scope, b"origin")
        if origin:
            origin_is_ours(origin, host)
        bearer_token(scope)

    def who() -> None:
        access.authenticate(token, address="127.0.0.1")

    authentication = cpu_us(who, calls)
    host = cpu_us(gate, calls)
    to = Address(agent=AgentId("hearer"))
    for name, one in holders().items():

        def send(one: Identity = one) -> None:
            demand(one, "message.send")
            check_send(one, TEAM, to)

        def settle(one: Identity = one) -> None:
            demand(one, "inbox.ack")

        def may(one: Identity = one) -> None:
            demand(one, "agents:read")

        def hear(one: Identity = one) -> None:
            may_receive(one, TEAM, "orders.eu")

        sent, acked = cpu_us(send, calls), cpu_us(settle, calls)
        allowed, heard = cpu_us(may, calls), cpu_us(hear, calls)
        series.add(
            name,
            who_us=authentication,
            host_us=host,
            may_us=allowed,
            hear_us=heard,
            request_us=authentication + host + allowed,
            ask_us=sent + acked,  # the question, and its answer back
            durable_us=sent + acked,  # sent, and acknowledged
            routed_us=sent,
            routed_durable_us=sent + acked,
        )


def routes(given: argparse.Namespace, series: Series) -> None:
    """The cheapest way a message can go: 64 in a frame, from many to many."""
    plain, durable = routed(given), routed(given, "--durable")
    series.add(
        NODE,
        routed_cpu_us=plain["node_us"] + plain["nats_us"],
        routed_durable_cpu_us=durable["node_us"] + durable["nats_us"],
    )


def main() -> int:
    """Measure, and judge: 0 if all goals are kept."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--many", type=int, default=20_000, help="messages, routed")
    parser.add_argument("--pairs", type=int, default=8, help="senders and receivers")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    series = Series()
    for _ in range(given.runs):
        parts(given.calls * 10, series)
        with running_node(**PACE) as node:
            asyncio.run(requests(node, NODE, given.calls, series))
            asyncio.run(messages(node, NODE, given.calls, series))
        routes(given, series)
    goals = [
        Goal(
            f"{what}, of it who and may he: {name}",
            series.median(name, f"{what}_us") / series.median(NODE, f"{what}_cpu_us"),
            0.10,
        )
        for name in holders()
        for what in ("request", "ask", "durable", "routed", "routed_durable")
    ]
    return report(series, goals, runs=given.runs, as_json=given.json)


if __name__ == "__main__":
    raise SystemExit(main())
