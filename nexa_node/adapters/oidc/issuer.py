"""One issuer: where its keys are, and what its ID tokens say of somebody."""

import asyncio
import ssl
from collections.abc import Sequence
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec

from nexa_node.adapters.oidc import signatures
from nexa_node.contract.errors import Unavailable
from nexa_node.contract.login import OidcProvider
from nexa_node.core.oidc import Claimed, claimed
from nexa_node.core.policies import OidcPolicy, OidcRolePolicy
from nexa_node.ports import Clock

ANSWER_S = 5.0
ANSWER_MAX = 256 * 1024
KEYS_S = 3600.0
"""Keys are read again after so long; or for a token that names a new one, but then"""
AGAIN_S = 30.0
"""not sooner than this: strangers must not have us call the issuer all the time."""


class Issuer:
    """`services.access.logins.IdTokens`."""

    def __init__(
        self, policy: OidcPolicy, rules: Sequence[OidcRolePolicy], *, clock: Clock
    ) -> None:
        """Ask nobody yet."""
        self._policy = policy
        self._rules = tuple(rules)
        self._clock = clock
        self._keys: list[dict[str, Any]] = []
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    @property
    def provider(self) -> OidcProvider:
        """Where people log in."""
        policy = self._policy
        return OidcProvider(
            issuer=policy.issuer, client_id=policy.client_id, scopes=policy.scopes
        )

    async def verify(self, token: str) -> Claimed:
        """Read an ID token.

        Raises:
            Unauthorized: It is not well signed, not for us, or over.
            Forbidden: No rule gives its holder a role.
            Unavailable: The issuer's keys can't be read.
        """
        keys = await self._current(token)
        claims = await asyncio.to_thread(signatures.read, token, keys)
        return claimed(claims, self._policy, self._rules, now=self._clock.now())

    async def _current(self, token: str) -> list[dict[str, Any]]:
        async with self._reading:
            age_s = self._clock.monotonic() - self._read_at
            stale = age_s >= KEYS_S
            unknown = not signatures.names_key(token, self._keys)
            if stale or (unknown and age_s >= AGAIN_S):
                self._keys = await self._read()
                self._read_at = self._clock.monotonic()
            return self._keys

    async def _read(self) -> list[dict[str, Any]]:
        base = self._policy.issuer.rstrip("/")
        told = await self._get(f"{base}/.well-known/openid-configuration")
        if told.get("issuer") != self._policy.issuer:
            raise self._broken("its description is of another issuer")
        where = told.get("jwks_uri")
        if not isinstance(where, str):
            raise self._broken("its description names no keys")
        keys = (await self._get(where)).get("keys")
        if not isinstance(keys, list):
            raise self._broken("it has no keys")
        found = cast("list[Any]", keys)
        return [cast("dict[str, Any]", one) for one in found if isinstance(one, dict)]

    async def _get(self, url: str) -> dict[str, Any]:
        import httpx

        _check(url, self._policy.issuer)
        try:
            async with (
                asyncio.timeout(ANSWER_S),
                httpx.AsyncClient(
                    trust_env=False, verify=self._trust(url), timeout=ANSWER_S
                ) as http,
                http.stream("GET", url) as answer,
            ):
                answer.raise_for_status()
                content = b""
                async for piece in answer.aiter_bytes():
                    content += piece
                    if len(content) > ANSWER_MAX:
                        raise self._broken("its answer is too long")
            told = msgspec.json.decode(content)
        except (httpx.HTTPError, TimeoutError, OSError, msgspec.DecodeError) as error:
            raise self._broken(f"{url}: {error or type(error).__name__}") from error
        if not isinstance(told, dict):
            raise self._broken(f"{url} answers no object")
        return cast("dict[str, Any]", told)

    def _trust(self, url: str) -> ssl.SSLContext | bool:
        if not url.startswith("https://"):
            return False
        ca_file = self._policy.ca_file
        return ssl.create_default_context(cafile=ca_file) if ca_file else True

    def _broken(self, why: str) -> Unavailable:
        return Unavailable(
            f"the issuer {self._policy.issuer} can't be asked: {why}",
            remedy="check [oidc] issuer in nexa.toml; tokens open the node as before",
        )


def _check(url: str, issuer: str) -> None:
    """Let pass what is encrypted, or on this very machine for tests and proxies.

    Raises:
        Unavailable: Somebody on the way could give us keys of his own.
    """
    parts = urlsplit(url)
    local = parts.hostname in {"127.0.0.1", "::1", "localhost"}
    if parts.scheme == "https" or (parts.scheme == "http" and local):
        return
    raise Unavailable(
        f"{url[:200]} is not https, so nobody can trust the keys of {issuer}",
        remedy="set [oidc] issuer to an https address",
    )
