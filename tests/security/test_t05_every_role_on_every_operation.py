"""T5: who may ask what, for every operation and every method; what is unmapped fails.

The cases come from the OpenAPI document and the protocol's table of methods, so a new
operation is asked for by everybody before anybody wrote a test for it.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from nexa_node.adapters.asgi.app import describe
from nexa_node.contract.access import Identity, Scope
from nexa_node.contract.frames import METHODS
from nexa_node.core.access import ACTIONS, METHOD_ACTIONS, PUBLIC, ROLE_GRANTS
from nexa_node.core.authorization import authorize
from tests.builders import TASK_ID, identity
from tests.security.played import CUSTOM, ROLES, Played, played

DOCUMENT: dict[str, Any] = msgspec.json.decode(describe())
CALLS = [
    (method.upper(), path, told["x-nexa-permission"], told)
    for path, methods in DOCUMENT["paths"].items()
    for method, told in methods.items()
    if "101" not in told["responses"]
]
WHO = (*ROLES, "custom")
PARTS = {"id": TASK_ID, "sha256": "0" * 64, "fingerprint": "0" * 16}
NODE = "alpha"
NEEDED = {"topic": "orders.eu", "who": "viewer", "action": "status", "what": "*"}
"""What a query must have."""


def may(who: str, permission: str) -> bool:
    """What the table says; the answer is compared with it."""
    if permission in ("open", "any"):
        return True
    allowed = [one.allow for one in CUSTOM if who == "custom"]
    allowed += [
        one.allow for role, all_ in ROLE_GRANTS.items() for one in all_ if role == who
    ]
    resource = permission.partition(":")[0]
    return permission in allowed or f"{resource}:*" in allowed


@pytest.fixture(scope="module")
def node() -> Iterator[Played]:
    with played(ticking=False) as one:
        yield one


def sent(told: dict[str, Any]) -> dict[str, Any]:
    """A body and parameters that are right, so that only the permission is asked."""
    content = told.get("requestBody", {}).get("content", {})
    how: dict[str, Any] = {"headers": {}, "params": {}}
    for media, body in content.items():
        how["headers"]["Content-Type"] = media
        if media == "application/json":
            how["content"] = msgspec.json.encode(body.get("example", {}))
            break
        how["content"] = b""
    for each in told.get("parameters", ()):
        if each["in"] == "query" and each["name"] == "dry_run":
            how["params"][each["name"]] = "true"
        elif each["in"] == "query" and each.get("required"):
            how["params"][each["name"]] = NEEDED.get(each["name"], "1")
    return how


def case_name(case: tuple[str, str, str, Any]) -> str:
    return f"{case[0]} {case[1]}"


STOPS = {("POST", "/v1/node/drain"), ("POST", "/v1/nodes/{id}/drain")}


@pytest.mark.parametrize("case", CALLS, ids=case_name)
def test_the_port_says_to_each_role_what_the_table_says(
    node: Played, case: tuple[str, str, str, Any]
) -> None:
    method, path, permission, told = case
    parts = {**PARTS, "id": NODE} if path.startswith("/v1/nodes/") else PARTS
    concrete = re.sub(r"\{(\w+)\}", lambda one: parts.get(one[1], "wc-1"), path)
    for who in WHO:
        if may(who, permission) and (method, path) in STOPS:
            continue  # it would be done
        answer = node.ask(method, concrete, token=node.tokens[who], **sent(told))

        refused = answer.status_code == 403
        assert refused is not may(who, permission), (
            who,
            answer.status_code,
            answer.text,
        )
        assert answer.status_code not in (401, 500), (who, answer.text)
    if permission != "open":
        for token in (None, node.tokens["expired"], "nxa_x_y", "nxa_a_" + "b" * 49):
            answer = node.ask(method, concrete, token=token, **sent(told))
            assert answer.status_code in (401, 429), (token, answer.text)


def test_every_operation_of_the_document_has_a_permission_that_somebody_holds() -> None:
    held = {one.allow for grants in ROLE_GRANTS.values() for one in grants}
    for method, path, permission, _ in CALLS:
        assert permission in ("open", "any") or permission in held, (method, path)


def test_every_method_of_the_protocol_is_mapped_and_no_other() -> None:
    assert set(METHODS) == set(METHOD_ACTIONS)


@pytest.mark.parametrize("method", METHODS)
def test_each_role_may_call_the_methods_of_its_permissions_only(method: str) -> None:
    needed = ACTIONS[method]
    for who in ROLES:
        expected = needed == PUBLIC or may(who, needed)
        assert authorize(identity(who), method).allowed is expected, who
    custom = Identity(id="token:c", role="custom", name="c", permissions=CUSTOM)
    assert authorize(custom, method).allowed is (
        needed == PUBLIC or may("custom", needed)
    )
    nobody = Identity(id="token:n", role="nobody", name="n", permissions=())
    assert authorize(nobody, method).allowed is (needed == PUBLIC)


@pytest.mark.parametrize("action", ["", "no.such", "drop_everything", "tasks:no"])
def test_what_is_not_mapped_is_refused_to_everybody(action: str) -> None:
    for who in ROLES:
        assert not authorize(identity(who), action).allowed
        confined = identity(who, scope=Scope(namespaces=("a",)))
        assert not authorize(confined, action).allowed
