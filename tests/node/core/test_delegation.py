"""Nobody hands on what he has not."""

import pytest

from nexa_node.contract.access import Permission, Scope
from nexa_node.core.access import ROLE_GRANTS
from nexa_node.core.delegation import beyond, granted_to, is_admin
from tests.builders import identity

ALL = ROLE_GRANTS["admin"]
TEAM = Scope(namespaces=("team-a",))


def test_an_admin_hands_on_whatever_there_is() -> None:
    for role in ROLE_GRANTS:
        assert beyond(granted_to(role, None), Scope(), identity("admin")) is None
        assert beyond(granted_to(role, None), TEAM, identity("admin")) is None


def test_a_role_that_may_make_tokens_makes_no_admin() -> None:
    desk = identity("desk", permissions=(Permission(allow="tokens:create"),))

    assert "lacks" in (beyond(ALL, Scope(), desk) or "")
    assert beyond(granted_to("desk", desk.permissions), Scope(), desk) is None
    assert granted_to("nobody-has-this", None) == ()


@pytest.mark.parametrize(
    ("mine", "wanted", "why"),
    [
        (TEAM, TEAM, None),
        (TEAM, Scope(), "only"),
        (TEAM, Scope(namespaces=("team-a", "team-b")), "team-b"),
        (Scope(may_send=("topic:a.>",)), Scope(), "limits may_send"),
        (Scope(may_send=("topic:a.>",)), Scope(may_send=("topic:a.b",)), None),
        (Scope(may_send=("topic:a.>",)), Scope(may_send=()), None),
        (Scope(may_send=("topic:a.>",)), Scope(may_send=("topic:>",)), "topic:>"),
        (Scope(may_send=("topic:a.>",)), Scope(may_send=("agent:a.b",)), "agent:"),
        (Scope(may_send=("broadcast",)), Scope(may_send=("broadcast",)), None),
        (Scope(may_submit=()), Scope(may_submit=("capability:wc",)), "capability:wc"),
        (Scope(may_receive=()), Scope(), "may_receive"),
    ],
)
def test_a_scope_is_handed_on_as_narrow_as_it_is(
    mine: Scope, wanted: Scope, why: str | None
) -> None:
    told = beyond(ALL, wanted, identity("admin", scope=mine))

    assert told is None if why is None else why in (told or "")


def test_only_the_built_in_role_without_a_scope_is_an_admin() -> None:
    assert is_admin("admin", Scope())
    assert not is_admin("admin", TEAM)
    assert not is_admin("almost-admin", Scope())
