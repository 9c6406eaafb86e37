"""A node's calls by which one becomes somebody."""

from dataclasses import dataclass

from nexa_node.contract.access import Identity, TokenCreated
from nexa_node.contract.login import Challenge, LoginWays, NewChallenge, NewLogin
from nexa_node.services.access.logins import Logins


@dataclass(frozen=True, kw_only=True, eq=False)  # no slots: a further base of `Node`
class LoginCalls:
    """The part of `services.api.NodeApi` that needs no token."""

    logins: Logins
    """Who comes in by a proof."""

    def login_ways(self) -> LoginWays:
        """How one can log in to this cluster, besides by a token."""
        return self.logins.ways()

    def challenge(self, wanted: NewChallenge) -> Challenge:
        """Give a nonce to sign."""
        return self.logins.challenge(wanted.id)

    async def login(
        self, wanted: NewLogin, *, address: str
    ) -> tuple[Identity, TokenCreated]:
        """Let somebody in by a proof: who he is, and a short-lived token."""
        return await self.logins.login(wanted, address=address)
