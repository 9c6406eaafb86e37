"""What an ID token's claims mean here: whose word counts, and which role it gives. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from nexa_node.contract.access import RoleName, Scope
from nexa_node.contract.errors import Forbidden, Unauthorized
from nexa_node.core.policies import OidcPolicy, OidcRolePolicy

NAME_MAX = 100


@dataclass(frozen=True, slots=True)
class Claimed:
    """Somebody an issuer vouches for."""

    subject: str
    name: str
    role: RoleName
    scope: Scope
    expires: datetime


def claimed(
    claims: Mapping[str, Any],
    policy: OidcPolicy,
    rules: Sequence[OidcRolePolicy],
    *,
    now: datetime,
) -> Claimed:
    """Read the claims of an ID token whose signature is right.

    Raises:
        Unauthorized: Another issuer, another audience, not yet or no more valid.
        Forbidden: No rule gives him a role.
    """
    if claims.get("iss") != policy.issuer:
        raise _refused("it is of another issuer")
    audience = claims.get("aud")
    told = cast("list[Any]", audience) if isinstance(audience, list) else [audience]
    if policy.client_id not in told:
        raise _refused("it is for another client")
    if len(told) > 1 and claims.get("azp") != policy.client_id:
        raise _refused("it was made for another client")
    leeway = policy.leeway_s
    ends, since = _number(claims, "exp"), _number(claims, "iat")
    begins = claims.get("nbf", since)
    at = now.timestamp()
    if ends + leeway <= at:
        raise _refused("it is over")
    if since - leeway > at or (
        isinstance(begins, int | float) and begins - leeway > at
    ):
        raise _refused("it is not valid yet: is the clock right?")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject:
        raise _refused("it names nobody")
    rule = _rule(claims, rules)
    if rule is None:
        raise Forbidden(
            f"{_name(claims, subject)} is known to {policy.issuer}, and no rule gives"
            " a role here",
            remedy="add an [[oidc_role]] with a claim of theirs to nexa.toml",
        )
    return Claimed(
        subject=subject,
        name=_name(claims, subject),
        role=rule.role,
        scope=Scope(namespaces=rule.namespaces),
        expires=now + timedelta(seconds=policy.session_s),
    )


def _rule(
    claims: Mapping[str, Any], rules: Sequence[OidcRolePolicy]
) -> OidcRolePolicy | None:
    """The first rule that fits."""
    for rule in rules:
        if rule.claim == "email" and claims.get("email_verified") is not True:
            continue
        values = _at(claims, rule.claim)
        if any(isinstance(one, str) and one == rule.value for one in values):
            return rule
    return None


def _at(claims: Mapping[str, Any], path: str) -> list[Any]:
    """What a claim has; dots go into objects."""
    found: Any = claims
    for part in path.split("."):
        if not isinstance(found, Mapping):
            return []
        found = cast("Mapping[str, Any]", found).get(part)
    return cast("list[Any]", found) if isinstance(found, list) else [found]


def _number(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _refused(f"it has no {name}")
    return value


def _name(claims: Mapping[str, Any], subject: str) -> str:
    for claim in ("email", "preferred_username", "name"):
        value = claims.get(claim)
        if isinstance(value, str) and value:
            return value[:NAME_MAX]
    return subject[:NAME_MAX]


def _refused(why: str) -> Unauthorized:
    return Unauthorized(
        f"the ID token is not taken: {why}", remedy="log in again: nexa login --oidc"
    )
