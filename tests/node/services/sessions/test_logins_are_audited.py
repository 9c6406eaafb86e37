"""Who says hello is written down: who came, and who did not get in."""

from typing import Any

import msgspec

from nexa_node.contract.access import Scope
from nexa_node.contract.errors import RateLimited
from nexa_node.services.access.login_audit import LoginAudit
from tests.builders import identity
from tests.fakes import FakeClock
from tests.rig import FakeAgent, Rig


class Pen:
    """An auditor that keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    async def record(self, **fields: Any) -> None:
        self.told.append(fields)

    def note(self, **fields: Any) -> None:
        self.told.append(fields)


async def test_an_agent_that_comes_is_written_down_with_where_it_is() -> None:
    pen = Pen()
    async with Rig() as rig:
        rig.sessions.audit(LoginAudit(pen, rig.clock))
        await rig.agent("wc-1")

    assert [one["event"] for one in pen.told] == ["authn_login_success"]
    assert pen.told[0]["resource"] == "agent/default.wc-1"
    assert pen.told[0]["address"] == "127.0.0.1"
    assert pen.told[0]["actor"] == identity("agent").id


async def test_one_that_brings_a_wrong_token_or_may_not_is_written_down() -> None:
    pen = Pen()
    async with Rig() as rig:
        rig.sessions.audit(LoginAudit(pen, rig.clock))
        stranger = rig.sessions.connect(None, text=True, address="10.0.0.9")
        hello = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "session.hello",
            "params": {
                "protocol": "1.0",
                "agent": {"id": "wc-1"},
                "auth": {"token": "nxa_wrong"},
            },
        }
        await stranger.receive(msgspec.json.encode(hello))
        confined = FakeAgent(rig, "wc-2")
        confined.open(caller=identity("agent", scope=Scope(namespaces=("team-a",))))
        await confined.call(
            "session.hello", protocol="1.0", agent={"id": "wc-2"}, namespace="default"
        )

    assert [(one["event"], one["outcome"]) for one in pen.told] == [
        ("authn_login_fail", "denied"),
        ("authz_fail", "denied"),
    ]
    assert pen.told[0]["address"] == "10.0.0.9"
    assert pen.told[1]["actor"]
    assert "nxa_wrong" not in str(pen.told)


async def test_who_knocks_without_end_fills_no_audit() -> None:
    pen, clock = Pen(), FakeClock()
    audit = LoginAudit(pen, clock)
    over = RateLimited("too many failed logins from 10.0.0.1")

    for _ in range(500):
        audit.refused(over, address="10.0.0.1", resource="GET /v1/node")
    assert len(pen.told) == 1
    await clock.advance(61)
    audit.refused(over, address="10.0.0.1", resource="GET /v1/node")

    assert len(pen.told) == 2
    assert "499 more like it" in pen.told[1]["reason"]
