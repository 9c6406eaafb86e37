"""Scopes of tokens, as they are asked for: what makes sense, and what does not."""

from nexa_node.contract.access import Scope
from nexa_node.contract.errors import Invalid
from nexa_node.contract.ids import is_slug
from nexa_node.core.topics import check_pattern

NAMESPACES_MAX = 32
TARGETS_MAX = 64
KINDS = ("topic", "agent", "capability")


def check_scope(scope: Scope) -> None:
    """Refuse a scope that could not mean what was meant.

    Raises:
        Invalid: A namespace is no slug, or a target neither `broadcast` nor a kind and a
            pattern; or there are too many of them.
    """
    if len(scope.namespaces) > NAMESPACES_MAX:
        raise Invalid(f"a token is for at most {NAMESPACES_MAX} namespaces")
    for namespace in scope.namespaces:
        if not is_slug(namespace):
            raise Invalid(
                f"{namespace[:80]!r} is no namespace",
                remedy="lower-case letters, digits, - and _, at most 63",
                details={"field": "scope.namespaces"},
            )
    _check("may_send", scope.may_send, (*KINDS, "broadcast"))
    _check("may_receive", scope.may_receive, ("topic", "capability"))
    _check("may_submit", scope.may_submit, ("capability",))


def _check(name: str, targets: tuple[str, ...] | None, kinds: tuple[str, ...]) -> None:
    if targets is None:
        return
    if len(targets) > TARGETS_MAX:
        raise Invalid(f"{name}: at most {TARGETS_MAX}", details={"field": name})
    for target in targets:
        kind, colon, pattern = target.partition(":")
        if kind not in kinds or bool(colon) is (kind == "broadcast"):
            raise Invalid(
                f"{name}: {target[:80]!r} is nothing a token can be limited to",
                remedy=f"begin with one of {', '.join(kinds)}: topic:orders.>, say",
                details={"field": f"scope.{name}"},
            )
        if colon:
            check_pattern(name, pattern)
