"""The audit over REST, and what the port writes down of what is done through it."""

from typing import Any

import msgspec
import pytest

from nexa_node.adapters.asgi import audit_examples, examples
from nexa_node.contract.audit import AuditRecord, AuditVerdict
from nexa_node.contract.errors import Forbidden, NotFound, Unavailable
from nexa_node.contract.rest import Page
from nexa_node.core.audit import entry_of
from tests.builders import NOW
from tests.node.adapters.asgi.fake_node import VIEWER, FakeNode, Port, headers, opened

KNOWN = examples.TOKENS.items[0].id
DRAIN = f"/v1/nodes/{examples.NODE.name}/drain"


class Pen:
    """An auditor that keeps what it was told, or can't write."""

    def __init__(self, *, dry: bool = False) -> None:
        self.told: list[dict[str, Any]] = []
        self._dry = dry

    async def record(self, **fields: Any) -> None:
        if self._dry:
            raise Unavailable("the audit can't be written, so nothing is changed")
        self.told.append(fields)

    def note(self, **fields: Any) -> None:
        self.told.append(fields)

    def outcomes(self) -> list[tuple[str, str]]:
        return [(one["event"], one["outcome"]) for one in self.told]


async def test_records_are_listed_and_narrowed(port: Port) -> None:
    answer = await port.http.get(
        "/v1/audit?event=authn_&actor=ada&outcome=denied&node=alpha&limit=5"
        "&since=2026-03-01T00:00:00Z&cursor=2026-03-02T00:00:00%2B00:00"
    )

    page = msgspec.json.decode(answer.content, type=Page[AuditRecord])
    assert page == audit_examples.RECORDS
    name, query = port.node.asked[0]
    assert (name, query.event, query.actor, query.limit) == (
        "audit",
        "authn_",
        "ada",
        5,
    )
    assert query.before.day == 2


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "outcome=x", "cursor=x", "cursor=2026-03-02"]
)
async def test_what_makes_no_sense_is_refused(port: Port, query: str) -> None:
    assert (await port.http.get(f"/v1/audit?{query}")).status_code == 400


async def test_chains_are_verified(port: Port) -> None:
    answer = await port.http.get("/v1/audit/verify")

    told = msgspec.json.decode(answer.content, type=AuditVerdict)
    assert told == audit_examples.VERDICT


async def test_a_change_is_written_down_before_and_after() -> None:
    pen = Pen()
    async with opened(auditor=pen) as port:
        answer = await port.http.post(DRAIN, headers={"X-Request-Id": "r-1"})

    assert answer.is_success
    assert [one["outcome"] for one in pen.told] == ["begun", "done"]
    state = {"outcome": "", "before": {}, "after": {}}
    assert pen.told[0] | state == pen.told[1] | state
    assert pen.told[0]["resource"] == f"POST {DRAIN}"
    assert pen.told[0]["request"] == "r-1"
    assert pen.told[0]["address"] == "127.0.0.1"
    assert pen.told[0]["role"] == "admin"


async def test_a_change_that_cannot_be_written_down_is_refused() -> None:
    node = FakeNode()
    async with opened(node, auditor=Pen(dry=True)) as port:
        answer = await port.http.post(DRAIN)
        read = await port.http.get("/v1/nodes")

    assert answer.status_code == 503
    assert read.is_success
    assert "drain" not in [name for name, _ in node.asked]


async def test_reads_dry_runs_and_what_agents_do_all_day_are_not_written_down() -> None:
    pen = Pen()
    async with opened(auditor=pen) as port:
        await port.http.get("/v1/nodes")
        await port.http.post("/v1/nodes/gamma/remove?dry_run=true")
        await port.http.post("/v1/tasks", json={"type": "wc"})
        await port.http.get("/healthz", headers={"Authorization": ""})

    assert not pen.told


async def test_a_denied_call_is_noted_and_never_begun() -> None:
    pen = Pen()
    async with opened(
        FakeNode(refusal=Forbidden("a viewer may not")), auditor=pen
    ) as p:
        await p.http.post(DRAIN, headers=headers(VIEWER))

    assert pen.outcomes() == [("authz_fail", "denied")]
    assert pen.told[0]["reason"] == "a viewer may not"


async def test_a_change_that_failed_says_why() -> None:
    pen = Pen()
    async with opened(FakeNode(refusal=NotFound("no node gamma")), auditor=pen) as port:
        await port.http.post(DRAIN)

    assert [one["outcome"] for one in pen.told] == ["begun", "failed"]
    assert pen.told[1]["reason"] == "no node gamma"


async def test_a_body_that_is_none_is_a_failed_change() -> None:
    pen = Pen()
    async with opened(auditor=pen) as port:
        await port.http.post("/v1/tokens", content=b"{", headers={})

    assert [one["outcome"] for one in pen.told] == ["failed"]


async def test_a_token_that_is_refused_is_noted_without_it() -> None:
    pen = Pen()
    async with opened(auditor=pen) as port:
        await port.http.get("/v1/nodes", headers=headers("nxa_stolen"))

    assert pen.outcomes() == [("authn_login_fail", "denied")]
    assert "nxa_stolen" not in str(pen.told)


async def test_it_says_what_is_wanted_what_was_and_what_is() -> None:
    pen = Pen()
    wanted = {"name": "team-a", "limits": {"agents": 7}}
    async with opened(auditor=pen) as port:
        answer = await port.http.post("/v1/namespaces", json=wanted)
        was = (await port.http.get("/v1/namespaces")).json()["items"][0]

    assert answer.is_success, answer.text
    begun, done = pen.told
    assert begun["after"]["limits"]["agents"] == 7
    assert was["name"] == "team-a"
    assert done["before"]["agents"] == was["agents"]
    assert done["after"]["limits"] == answer.json()["limits"]


async def test_who_may_not_read_changes_and_the_record_says_less() -> None:
    class Blind(FakeNode):
        def namespaces(self, *_: Any, **__: Any) -> Any:
            raise Forbidden("may not look")

    pen = Pen()
    async with opened(Blind(), auditor=pen) as port:
        await port.http.post("/v1/namespaces", json={"name": "team-a"})

    assert pen.outcomes() == [
        ("namespaces:write", "begun"),
        ("namespaces:write", "done"),
    ]
    assert pen.told[-1]["before"] == {}
    assert pen.told[-1]["after"]


async def test_a_revoked_token_is_told_as_it_was_and_a_new_one_without_its_secret() -> (
    None
):
    pen = Pen()
    async with opened(auditor=pen) as port:
        made = await port.http.post("/v1/tokens", json={"role": "viewer"})
        await port.http.delete(f"/v1/tokens/{KNOWN}")

    revoked = pen.told[-1]
    assert revoked["before"]["id"] == KNOWN
    assert "role" in revoked["before"]
    entry = entry_of(time=NOW, **pen.told[1])
    assert entry.after["token"] == "[hidden]"
    assert made.json()["token"] not in str(entry)
