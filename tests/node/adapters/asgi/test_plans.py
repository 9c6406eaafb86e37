"""At the port: a dry run answers the plan, a stale one does nothing, `plan=` is checked."""

from typing import Any

import httpx
import pytest

from nexa_node.adapters.asgi.auditing import changes
from nexa_node.adapters.asgi.operation import Operation
from nexa_node.adapters.asgi.operations import OPERATIONS
from nexa_node.contract.errors import Conflict
from tests.node.adapters.asgi.fake_node import Port

DANGEROUS = [one for one in OPERATIONS if one.dangerous]
BODIES: dict[str, Any] = {
    "redrive": {"all": True},
    "purge": {"all": True},
    "set_replicas": {"copies": 3},
}


def name_of(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


async def ask(port: Port, operation: Operation, query: str) -> httpx.Response:
    path = operation.path.replace("{id}", "alpha").replace("{name}", "odd")
    body: dict[str, Any] = {}
    if operation.action in BODIES:
        body["json"] = BODIES[operation.action]
    elif operation.uploads:
        body["content"] = b"an archive"
    return await port.http.request(operation.method, f"{path}?{query}", **body)


def done(port: Port) -> list[str]:
    """What was asked of the node but plans, dry runs and looks."""
    return [
        name
        for name, what in port.node.asked
        if name not in {"plan", "cluster"} and not _is_dry(what)
    ]


def _is_dry(what: Any) -> bool:
    return what is True or (isinstance(what, tuple) and what[-1] is True)


@pytest.mark.parametrize("operation", DANGEROUS, ids=name_of)
async def test_a_dry_run_answers_the_plan_and_does_nothing(
    port: Port, operation: Operation
) -> None:
    answer = await ask(port, operation, "dry_run=true")

    assert answer.status_code == 200, answer.text
    told = answer.json()
    plan = told.get("plan") or told
    assert plan["id"].startswith("plan-")
    assert done(port) == []


@pytest.mark.parametrize("operation", DANGEROUS, ids=name_of)
async def test_a_plan_is_checked_before_it_is_done(
    port: Port, operation: Operation
) -> None:
    answer = await ask(port, operation, "plan=plan-1")

    assert answer.status_code == operation.status, answer.text
    checked = [what for name, what in port.node.asked if name == "plan"]
    assert [agreed for _, agreed in checked] == ["plan-1"]
    assert [deed.action for deed, _ in checked] == [operation.action]
    assert done(port) == [operation.action]


@pytest.mark.parametrize("operation", DANGEROUS, ids=name_of)
async def test_what_is_stale_is_not_done(
    port: Port, operation: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stale(*_: Any, **__: Any) -> Any:
        raise Conflict("the plan is stale", details={"changed": ["a"]})

    monkeypatch.setattr(port.node, "plan", stale)

    answer = await ask(port, operation, "plan=plan-1")

    assert answer.status_code == 409
    assert answer.json()["details"] == {"changed": ["a"]}
    assert done(port) == []


@pytest.mark.parametrize("operation", DANGEROUS, ids=name_of)
async def test_a_dry_run_of_a_plan_is_refused(port: Port, operation: Operation) -> None:
    answer = await ask(port, operation, "dry_run=true&plan=plan-1")

    assert answer.status_code == 400
    assert done(port) == []


@pytest.mark.parametrize(
    ("query", "is_change"),
    [
        (b"", True),
        (b"dry_run=true", False),
        (b"dry_run=false", True),
        (b"plan=dry_run=true", True),
        (b"plan=x&dry_run=true", True),
        (b"dry_run=true&plan=x", True),
        (b"xdry_run=true", True),
    ],
)
def test_only_a_dry_run_escapes_the_audit(query: bytes, is_change: bool) -> None:
    (drain,) = [one for one in OPERATIONS if one.action == "drain"]

    assert changes(drain, {"query_string": query}) is is_change
