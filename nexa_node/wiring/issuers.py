"""Whose word counts for who somebody is: the issuer in `[oidc]`, if there is one."""

from nexa_node.adapters.oidc.issuer import Issuer
from nexa_node.ports import Clock
from nexa_node.services.access.logins import IdTokens
from nexa_node.settings import Settings


def issuer_of(settings: Settings, clock: Clock) -> IdTokens | None:
    """The configured issuer; its keys are read when somebody logs in."""
    if not settings.oidc.issuer:
        return None
    return Issuer(settings.oidc, settings.oidc_roles, clock=clock)
