"""Tokens and roles as rows, and what ending or renewing a token would do."""

from collections.abc import Sequence

from nexa_node.contract.access import VOUCHED, Role, TokenView
from nexa_tui.state.detail import Field, Heading, Line, Words, moment
from nexa_tui.state.effects import Effect
from nexa_tui.state.formats import TIMES, age
from nexa_tui.state.listing import (
    Cell,
    Column,
    Listing,
    Look,
    Order,
    how_old,
    since,
    stamp,
)
from nexa_tui.state.text import clean

SOON_S = 14 * 86400.0
"""An end that is nearer than this is marked."""
NEVER = float("inf")


def proved_by(token: TokenView) -> str:
    """How its holder proves that he is the one."""
    if token.of or token.id.startswith(VOUCHED):
        return "login"
    if token.certificates:
        return "cert"
    return "key" if token.public_key else "secret"


def reach_of(token: TokenView) -> str:
    """How far it reaches."""
    scope = token.scope
    told = list(scope.namespaces) or ["all"]
    for name in ("send", "receive", "submit"):
        limits: tuple[str, ...] | None = getattr(scope, f"may_{name}")
        if limits is not None:
            told.append(f"{name}: {' '.join(limits) or 'nothing'}")
    return clean(", ".join(told), 200)


def _ends(token: TokenView, look: Look) -> Cell:
    if token.expires is None:
        return Cell("never", "muted")
    if look.now is None:
        return Cell(f"{token.expires:%Y-%m-%d}")
    left_s = (token.expires - look.now).total_seconds()
    if left_s <= 0:
        return Cell("over", "crit")
    return Cell(age(left_s), "warn" if left_s < SOON_S else "muted")


def _end(token: TokenView) -> float:
    return NEVER if token.expires is None else stamp(token.expires)


def _used(token: TokenView, look: Look) -> Cell:
    if token.last_used is None:
        return Cell("never", "muted")
    return Cell(age(since(token.last_used, look.now)), "muted")


def _grants(role: Role) -> str:
    return clean(" ".join(one.allow for one in role.permissions), 400)


TOKENS: Listing[TokenView] = Listing(
    title="Access: tokens",
    columns=(
        Column("token", "token", 13, lambda t, _: Cell(clean(t.id, 40), "strong"),
               lambda t: t.id),
        Column("name", "name", 14, lambda t, _: Cell(clean(t.name or "-", 60)),
               lambda t: t.name, grows=2),
        Column("role", "role", 9, lambda t, _: Cell(clean(t.role, 40)), lambda t: t.role),
        Column("used", "last use", 9, _used,
               lambda t: how_old(t.last_used) if t.last_used else NEVER, right=True),
        Column("ends", "ends in", 9, _ends, _end, right=True),
        Column("scope", "scope", 14, lambda t, _: Cell(reach_of(t), "muted"), reach_of,
               grows=2, rank=2),
        Column("by", "by", 6, lambda t, _: Cell(proved_by(t), "muted"), proved_by, rank=3),
        Column("age", "age", 7, lambda t, look: Cell(age(since(t.created, look.now)), "muted"),
               lambda t: how_old(t.created), right=True, rank=4),
    ),
    key=lambda token: token.id,
    problem=lambda token: token.expires is not None and token.last_used is None,
    address=lambda token: f"nexa://token/{token.id}",
    first=Order("ends", descending=False),
    empty=("There are no tokens.", "nexa token create --role viewer"),
    note=TIMES,
)  # fmt: skip


def token_lines(token: TokenView, look: Look) -> Sequence[Line]:
    """One token in full; never its secret."""
    lines: list[Line] = [
        Field("token", clean(token.id, 80), "strong"),
        Field("name", clean(token.name or "-", 200)),
        Field("role", clean(token.role, 80)),
        Field("proved by", proved_by(token)),
        Field("scope", reach_of(token)),
        Field("made", moment(token.created, look)),
        Field(
            "ends", "never" if token.expires is None else moment(token.expires, look)
        ),
    ]
    for name, at in (
        ("last use", token.last_used),
        ("rotated", token.rotated),
        ("old secret until", token.overlap_until),
    ):
        if at is not None:
            lines.append(Field(name, moment(at, look)))
    if token.of:
        lines.append(Field("logged in as", clean(token.of, 80)))
    if token.public_key:
        lines += [Heading("public key"), Words(clean(token.public_key, 80), "muted")]
    return lines


ROLES: Listing[Role] = Listing(
    title="Access: roles",
    columns=(
        Column("role", "role", 14, lambda r, _: Cell(clean(r.name, 63), "strong"),
               lambda r: r.name, grows=1),
        Column("kind", "kind", 14,
               lambda r, _: Cell("built in" if r.built_in else "of the cluster", "muted"),
               lambda r: r.built_in),
        Column("may", "may", 30, lambda r, _: Cell(_grants(r), "muted"), _grants,
               grows=4),
        Column("count", "permissions", 12, lambda r, _: Cell(str(len(r.permissions))),
               lambda r: len(r.permissions), right=True, rank=2),
    ),
    key=lambda role: role.name,
    problem=lambda role: any(one.allow == "*:*" for one in role.permissions),
    address=lambda role: f"nexa://role/{role.name}",
    first=Order("kind", descending=False),
    empty=("There are no roles.", "nexa role list"),
)  # fmt: skip


def role_lines(role: Role, look: Look) -> Sequence[Line]:
    """One role in full."""
    del look
    return [
        Field("role", clean(role.name, 80), "strong"),
        Field("kind", "built in" if role.built_in else "of the cluster"),
        Heading("may"),
        *(Field(clean(one.allow, 80), clean(one.on, 200)) for one in role.permissions),
    ]


def revoke_token(token: TokenView) -> Effect:
    """End a token."""
    lines = (
        "What is connected by it is closed, on every node.",
        "It can't be made good again; its holder needs another one.",
    )
    return Effect("Revoke a token", _named(token), lines, "Revoke it", keep="Keep it")


def rotate_token(token: TokenView) -> Effect:
    """Give a token a new secret."""
    title = "Rotate a token"
    if proved_by(token) != "secret":
        refused = f"it is proved by a {proved_by(token)}, and has no secret"
        return Effect(title, _named(token), (), "Rotate it", refused=refused)
    lines = (
        "The new secret is shown once. The one before works for ten minutes yet,",
        "then what is connected by it is closed.",
    )
    return Effect(title, _named(token), lines, "Rotate it")


def _named(token: TokenView) -> str:
    return f"{clean(token.id, 60)} ({clean(token.role, 40)} {clean(token.name, 60)})"
