import inspect

import pytest
from hypothesis import given, strategies as st

from nexa_node.contract.access import ROLES
from nexa_node.contract.errors import Forbidden
from nexa_node.contract.frames import METHODS
from nexa_node.contract.ids import is_slug
from nexa_node.core.access import (
    ACTIONS,
    API_ACTIONS,
    METHOD_ACTIONS,
    ROLE_GRANTS,
    hash_token,
    make_token,
    parse_token,
    same_token,
)
from nexa_node.core.authorization import authorize, demand
from nexa_node.services.api import NodeApi
from tests.builders import identity

TOKEN = make_token(bytes(range(40)))


def calls_of(protocol: type) -> set[str]:
    return {
        name
        for base in protocol.__mro__
        if base.__module__.startswith("nexa_node.")
        for name, value in vars(base).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }


def test_every_call_of_the_api_has_a_permission() -> None:
    assert set(API_ACTIONS) == calls_of(NodeApi)


def test_every_method_of_the_agent_protocol_has_a_permission() -> None:
    assert set(METHOD_ACTIONS) == set(METHODS)


def test_every_role_and_every_action_has_a_verdict() -> None:
    assert set(ROLE_GRANTS) == set(ROLES)
    for role in ROLES:
        for action in ACTIONS:
            assert authorize(identity(role), action).rule


@pytest.mark.parametrize(
    ("role", "action", "allowed"),
    [
        ("viewer", "status", True),
        ("viewer", "feed", True),
        ("viewer", "submit", False),
        ("viewer", "run_selftest", False),
        ("viewer", "drain", False),
        ("operator", "submit", True),
        ("operator", "cancel", True),
        ("operator", "drain", True),
        ("operator", "create_token", False),
        ("operator", "connect_agent", False),
        ("operator", "task.complete", False),
        ("admin", "create_token", True),
        ("admin", "connect_agent", True),
        ("auditor", "list_tokens", True),
        ("auditor", "cancel", False),
        ("agent", "session.hello", True),
        ("agent", "task.complete", True),
        ("agent", "submit", True),
        ("agent", "feed", False),
        ("agent", "status", False),
        ("agent", "revoke_token", False),
        ("node", "cluster", True),
        ("node", "task.submit", False),
    ],
)
def test_roles_may_what_they_are_for(role: str, action: str, allowed: bool) -> None:
    assert authorize(identity(role), action).allowed is allowed


def test_an_admin_may_everything() -> None:
    assert all(authorize(identity("admin"), action).allowed for action in ACTIONS)


def test_only_an_admin_makes_and_ends_tokens() -> None:
    able = {role for role in ROLES if authorize(identity(role), "create_token").allowed}

    assert able == {"admin"}


def test_an_action_that_nobody_mapped_is_refused() -> None:
    verdict = authorize(identity("admin"), "format_disk")

    assert not verdict.allowed
    assert "format_disk" in verdict.rule


def test_a_refusal_names_the_rule_and_the_least_role_that_may() -> None:
    with pytest.raises(Forbidden) as caught:
        demand(identity("viewer"), "submit")

    assert "viewer lacks tasks:submit" in caught.value.message
    assert "nexa token create --role operator" in (caught.value.remedy or "")


def test_a_refusal_of_what_nobody_may_has_no_remedy() -> None:
    with pytest.raises(Forbidden) as caught:
        demand(identity("admin"), "format_disk")

    assert caught.value.remedy is None


def test_an_allowed_call_passes() -> None:
    demand(identity("operator"), "submit", "default.wc")


@given(st.binary(min_size=40, max_size=64))
def test_a_token_that_was_made_can_be_read(entropy: bytes) -> None:
    token = make_token(entropy)

    assert parse_token(token.text) == token
    assert is_slug(token.id)
    assert len(token.text) == len(f"nxa_{token.id}_") + 49


@given(st.integers(0, len(TOKEN.text) - 1), st.sampled_from("0aZ_"))
def test_one_wrong_character_is_found(at: int, character: str) -> None:
    spoiled = TOKEN.text[:at] + character + TOKEN.text[at + 1 :]

    assert spoiled == TOKEN.text or parse_token(spoiled) is None


@given(st.text())
def test_foreign_text_is_no_token(text: str) -> None:
    assert parse_token(text) is None


def test_a_token_cut_off_or_with_a_line_end_is_none() -> None:
    assert parse_token(TOKEN.text[:-1]) is None
    assert parse_token(TOKEN.text + "\n") is None


def test_too_little_chance_makes_no_token() -> None:
    with pytest.raises(ValueError, match="40"):
        make_token(b"short")


def test_tokens_differ_with_their_entropy() -> None:
    other = make_token(bytes(range(1, 41)))

    assert other.id != TOKEN.id
    assert other.text.split("_")[2] != TOKEN.text.split("_")[2]


def test_a_hash_knows_its_token_and_no_other() -> None:
    sha256 = hash_token(TOKEN.text)

    assert same_token(TOKEN.text, sha256)
    assert not same_token(TOKEN.text + "x", sha256)
    assert not same_token(TOKEN.text, "")
    assert TOKEN.text not in sha256
