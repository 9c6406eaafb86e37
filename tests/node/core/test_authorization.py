from typing import Any

import pytest
from hypothesis import given, strategies as st

from nexa_node.contract.access import Permission, Scope
from nexa_node.core.authorization import authorize, covers, exceeds
from nexa_node.core.topics import matches
from tests.builders import identity

TOKEN = st.sampled_from(("a", "b", "c"))
NAMES = st.lists(TOKEN, min_size=1, max_size=4).map(".".join)
PATTERNS = st.builds(
    lambda head, rest: ".".join((*head, *rest)) or ">",
    st.lists(st.sampled_from(("a", "b", "*")), max_size=3),
    st.sampled_from(((), (">",))),
)


def custom(*permissions: tuple[str, str], **overrides: Any) -> Any:
    given_ = tuple(Permission(allow=allow, on=on) for allow, on in permissions)
    return identity("reader", permissions=given_, **overrides)


@pytest.mark.parametrize(
    ("pattern", "resource", "allowed"),
    [
        (">", "default.wc-1", True),
        ("default.>", "default.wc-1", True),
        ("default.>", "default", False),
        ("default.>", "other.wc-1", False),
        ("*.wc-1", "other.wc-1", True),
        ("*.wc-1", "other.wc-2", False),
        ("default.*", "default.wc.1", False),
        ("default", "default", True),
        ("default.wc", "default", False),
    ],
)
def test_permissions_match_resources_as_nats_does(
    pattern: str, resource: str, allowed: bool
) -> None:
    who = custom(("agents:read", pattern))

    assert authorize(who, "agent", resource).allowed is allowed


@given(PATTERNS, NAMES)
def test_a_pattern_covers_a_name_as_topics_match(pattern: str, name: str) -> None:
    assert covers(pattern, name) == matches(pattern, name)


@given(PATTERNS, PATTERNS, NAMES)
def test_what_a_covered_pattern_matches_its_cover_matches(
    wide: str, narrow: str, name: str
) -> None:
    if covers(wide, narrow) and matches(narrow, name):
        assert matches(wide, name)


def test_a_wider_subscription_than_what_is_allowed_is_refused() -> None:
    who = custom(("messages:receive", "team.topic.orders.*"))

    assert authorize(who, "topic.subscribe", "team.topic.orders.eu").allowed
    assert not authorize(who, "topic.subscribe", "team.topic.orders.>").allowed
    assert not authorize(who, "topic.subscribe", "team.topic.*.eu").allowed


def test_a_list_may_be_asked_for_by_who_may_see_some_of_it() -> None:
    who = custom(("tasks:read", "team.>"))

    assert authorize(who, "tasks").allowed
    assert not authorize(who, "task", "other.wc").allowed


def test_a_narrow_permission_is_none_over_what_has_no_parts() -> None:
    assert not authorize(custom(("tokens:create", "team.>")), "create_token").allowed


def test_a_star_stands_for_each_half_of_a_permission() -> None:
    assert authorize(custom(("tasks:*", ">")), "cancel").allowed
    assert authorize(custom(("*:read", ">")), "events").allowed
    assert not authorize(custom(("*:read", ">")), "cancel").allowed


@pytest.mark.parametrize("role", ["viewer", "operator", "admin", "agent", "auditor"])
@pytest.mark.parametrize(
    "action",
    ["metrics", "prometheus", "alerts", "audit", "create_token", "buckets", "backup"],
)
def test_a_token_of_one_namespace_has_nothing_that_reaches_over_all(
    role: str, action: str
) -> None:
    who = identity(role, scope=Scope(namespaces=("a",)))

    assert not authorize(who, action).allowed


def test_a_token_of_one_namespace_does_nothing_in_another() -> None:
    who = identity("operator", scope=Scope(namespaces=("a",)))

    assert authorize(who, "submit", "a.wc").allowed
    found = authorize(who, "submit", "b.wc")
    assert not found.allowed
    assert "namespace b" in found.rule


@pytest.mark.parametrize(
    ("action", "resource", "allowed"),
    [
        ("message.send", "a.topic.orders.eu", True),
        ("message.send", "a.topic.other", False),
        ("message.send", "a.agent.bob", True),
        ("message.send", "a.agent.eve", False),
        ("message.send", "a.broadcast", False),
        ("topic.subscribe", "a.topic.news", True),
        ("topic.subscribe", "a.topic.>", False),
        ("posted", "a.topic.news", False),
        ("task.submit", "a.resize", True),
        ("task.submit", "a.wc", False),
        ("tasks:work", "a.resize", False),
    ],
)
def test_a_scope_says_where_its_holder_sends_reads_and_submits(
    action: str, resource: str, allowed: bool
) -> None:
    scope = Scope(
        may_send=("topic:orders.>", "agent:bob"),
        may_receive=("topic:news",),
        may_submit=("capability:resize",),
    )
    if action == "posted":
        scope = Scope(may_receive=())

    assert (
        authorize(identity("agent", scope=scope), action, resource).allowed is allowed
    )


def test_nobody_hands_on_more_than_he_has() -> None:
    mine = custom(("tasks:read", "a.>"))

    assert exceeds((Permission(allow="tasks:read", on="a.wc"),), mine) is None
    assert exceeds((Permission(allow="tasks:read", on=">"),), mine) is not None
    assert exceeds((Permission(allow="tasks:*", on="a.>"),), mine) is not None
