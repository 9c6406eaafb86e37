"""`nexa audit …` against a port."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nexa_node.contract.audit import AuditRecord, AuditVerdict
from nexa_node.contract.rest import Page
from tests.tui.alarms import AUDIT
from tests.tui.served import Port, Said, port, say

OK = AuditVerdict(status="ok", records=1812, checkpoints=3)
BROKEN = AuditVerdict(
    status="broken",
    records=40,
    first_bad=41,
    chain="alpha/e1",
    reason="its text is not what its hash was made of",
)


@pytest.fixture
def there() -> Iterator[Port]:
    with port() as made:
        made.answers |= {
            "GET /v1/audit": [
                Page(items=AUDIT, next_cursor="2026-03-01T10:00:00+00:00"),
                Page(items=AUDIT[:1]),
            ],
            "GET /v1/audit/verify": OK,
        }
        yield made


@pytest.fixture
def tell(there: Port, tmp_path: Path) -> Any:
    def told(*words: str) -> Said:
        return say(tmp_path, there.url, *words)

    return told


def test_what_was_done_is_a_table_with_the_newest_last(tell: Any) -> None:
    said = tell("audit")

    lines = said.out.splitlines()
    assert said.code == 0
    assert "tokens:create" in lines[1]
    assert "nodes:drain" in lines[-1]
    assert "nobody" in said.out
    assert "--cursor 2026-03-01T10:00:00+00:00" in said.err


def test_filters_go_to_the_node(there: Port, tell: Any) -> None:
    calls: list[str] = []
    there.before = calls.append
    said = tell(
        "audit", "list", "--actor", "ada", "--outcome", "denied", "--on", "tokens",
        "--event", "authn_", "--on-node", "beta", "--since", "2026-03-01T00:00:00Z",
        "--json",
    )  # fmt: skip

    assert msgspec.json.decode(said.out, type=Page[AuditRecord]).items == AUDIT
    for word in ("actor=ada", "outcome=denied", "resource=tokens", "event=authn_"):
        assert word in calls[-1]
    assert "node=beta" in calls[-1]


def test_an_export_is_every_page_a_record_a_line(tell: Any) -> None:
    said = tell("audit", "export")

    records = [
        msgspec.json.decode(line, type=AuditRecord) for line in said.out.splitlines()
    ]
    assert records == [*AUDIT, AUDIT[0]]


def test_a_whole_chain_is_told_with_how_much_was_compared(tell: Any) -> None:
    said = tell("audit", "verify")

    assert said.code == 0
    assert said.out == ("1,812 records are as they were written; 3 checkpoints agree\n")


def test_a_broken_chain_ends_with_1_and_says_where(there: Port, tell: Any) -> None:
    there.answers["GET /v1/audit/verify"] = BROKEN

    said = tell("audit", "verify")
    assert said.code == 1
    assert "BROKEN: alpha/e1, record 41: its text is not" in said.out
    told = tell("audit", "verify", "--json").json()
    assert (told["status"], told["first_bad"]) == ("broken", 41)


def test_a_node_that_could_not_be_asked_is_told(there: Port, tell: Any) -> None:
    there.answers["GET /v1/audit/verify"] = AuditVerdict(
        status="incomplete", records=7, reason="gamma could not be asked"
    )

    said = tell("audit", "verify")
    assert said.code == 1
    assert "gamma could not be asked" in said.out


def test_nothing_done_says_so(there: Port, tell: Any) -> None:
    there.answers["GET /v1/audit"] = Page(items=())
    assert "nothing was done yet" in tell("audit", "list").err
