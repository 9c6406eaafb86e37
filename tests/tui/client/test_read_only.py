"""The console's own wall: a client that only looks sends nothing that changes."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nexa_node.contract.access import NewToken
from nexa_node.contract.alerts import NewAck, NewNote
from nexa_node.contract.errors import NexaError
from nexa_node.contract.messages import Address, NewMessage
from nexa_node.contract.tasks import NewTask, Redrive
from nexa_tui.client.api import NodeClient
from nexa_tui.client.clock import SystemClock
from nexa_tui.client.discovery import Target
from nexa_tui.client.http import HttpNode
from nexa_tui.client.read_only import ReadOnly
from tests.tui import alarms
from tests.tui.served import Port, port

MESSAGE = NewMessage(to=Address(broadcast=True), type="a", data=None)
CHANGES: dict[str, Callable[[HttpNode], Any]] = {
    "submit": lambda node: node.submit(NewTask(type="wc", data=None)),
    "cancel": lambda node: node.cancel("t1"),
    "disconnect": lambda node: node.disconnect("a"),
    "drain_agent": lambda node: node.drain_agent("a", on=True),
    "drain": lambda node: node.drain("n"),
    "maintain": lambda node: node.maintain("n", on=True),
    "remove": lambda node: node.remove("n", dry_run=False),
    "join_token": lambda node: node.join_token(),
    "acknowledge": lambda node: node.acknowledge("f", NewAck()),
    "unacknowledge": lambda node: node.unacknowledge("f"),
    "note": lambda node: node.note("f", NewNote(text="a")),
    "dismiss": lambda node: node.dismiss("f"),
    "silence": lambda node: node.silence(alarms.SILENCES[0]),
    "expire": lambda node: node.expire("s"),
    "create_token": lambda node: node.create_token(NewToken(role="viewer")),
    "rotate_token": lambda node: node.rotate_token("t", overlap_s=1),
    "revoke_token": lambda node: node.revoke_token("t"),
    "send": lambda node: node.send(MESSAGE),
    "redrive": lambda node: node.redrive(Redrive(all=True)),
    "purge": lambda node: node.purge(Redrive(all=True)),
}
LOOKS = {
    "target", "feed", "selftest", "task", "explain", "plan", "alert", "preview",
    "handover", "alert_history", "silences", "rules", "audit", "verify_audit",
    "tokens", "roles", "namespaces", "logs", "posted", "topics", "inboxes", "peek", "dead_letters",
    "query_range", "glance", "close",
}  # fmt: skip


@pytest.fixture(scope="module")
def there() -> Iterator[Port]:
    with port() as made:
        yield made


def test_every_call_of_the_console_changes_something_or_looks() -> None:
    calls = {name for name in vars(NodeClient) if not name.startswith("_")}

    assert calls == LOOKS | CHANGES.keys()


@pytest.mark.parametrize("name", CHANGES)
async def test_what_changes_is_not_sent(there: Port, name: str) -> None:
    target = Target(there.url, None, "prod", "the context prod", read_only=True)
    node = HttpNode(target, SystemClock(), random.Random(1), resolve=lambda: None)

    with pytest.raises(ReadOnly, match="the context prod is only looked at"):
        await CHANGES[name](node)

    await node.close()
    assert there.asked == []


async def test_what_looks_is_sent(there: Port) -> None:
    heard: list[str] = []
    there.before = heard.append
    target = Target(there.url, None, "prod", "the context prod", read_only=True)
    node = HttpNode(target, SystemClock(), random.Random(1), resolve=lambda: None)

    for look in (
        node.rules(),
        node.plan("drain", "n"),
        node.preview(alarms.SILENCES[0]),
    ):
        with pytest.raises(NexaError, match="nothing is laid out"):
            await look

    await node.close()
    assert heard == [
        "GET /v1/rules",
        "POST /v1/nodes/n/drain?dry_run=true",
        "POST /v1/silences/preview",
    ]
