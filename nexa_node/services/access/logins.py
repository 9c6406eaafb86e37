"""Proving who one is without a secret that travels: challenges, proofs, logins.

A nonce is made of random bytes, its end and a keyed hash, so that the node remembers
nothing of those who ask; only proofs that were good are remembered, for as long as their
nonce lives, so that none is good twice. A token that does not exist is asked as one that
does, and takes as long.
"""

import base64
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from nexa_node.contract.access import VOUCHED, Identity, TokenCreated
from nexa_node.contract.errors import (
    Invalid,
    NexaError,
    RateLimited,
    Unauthorized,
    Unavailable,
)
from nexa_node.contract.login import (
    NONCE_S,
    Challenge,
    KeyProof,
    LoginWays,
    NewLogin,
    OidcProvider,
    Purpose,
    login_words,
)
from nexa_node.core.oidc import Claimed
from nexa_node.core.public_keys import is_signed_by
from nexa_node.ports import Clock, TokenRecord
from nexa_node.services.access.access import Access
from nexa_node.services.access.login_audit import LoginAudit

SESSION_S = 60 * 60
"""How long a token lives that somebody logged in for with a key."""
RESOURCE = "POST /v1/login"
USED_MAX = 100_000
_RANDOM, _MAC = 16, 16
_NOBODY = base64.b64encode(bytes(32)).decode()


class IdTokens(Protocol):
    """Somebody else who says who somebody is, by OpenID Connect."""

    @property
    def provider(self) -> OidcProvider:
        """Where people log in."""
        ...

    async def verify(self, token: str) -> Claimed:
        """Read an ID token.

        Raises:
            Unauthorized: It is not well signed, not for us, or over.
            Forbidden: No rule gives its holder a role.
            Unavailable: The issuer's keys can't be read.
        """
        ...


class Logins:
    """Answers whoever wants in."""

    def __init__(
        self,
        access: Access,
        *,
        clock: Clock,
        entropy: Callable[[int], bytes],
        node: str,
        cluster: Callable[[], str],
        oidc: IdTokens | None = None,
    ) -> None:
        """Know nobody; tokens are asked for in `access`.

        Args:
            access: Knows tokens and their public keys.
            clock: Now.
            entropy: That many random bytes, fit for secrets.
            node: This node's id.
            cluster: The name of its cluster.
            oidc: Whose word counts, too.
        """
        self._access = access
        self._clock = clock
        self._entropy = entropy
        self._node = node
        self._cluster = cluster
        self._oidc = oidc
        self._secret = entropy(32)
        self._used: OrderedDict[str, datetime] = OrderedDict()
        self.audit: LoginAudit | None = None
        """Where it is written down who came."""

    def ways(self) -> LoginWays:
        """How one can log in."""
        return LoginWays(oidc=None if self._oidc is None else self._oidc.provider)

    def challenge(self, token_id: str) -> Challenge:
        """Give a nonce, whoever asks."""
        ends = self._clock.now() + timedelta(seconds=NONCE_S)
        body = self._entropy(_RANDOM) + int(ends.timestamp()).to_bytes(8, "big")
        return Challenge(
            nonce=base64.urlsafe_b64encode(body + self._mac(body, token_id)).decode(),
            node=self._node,
            cluster=self._cluster(),
            expires=ends,
        )

    def prove(self, proof: KeyProof, *, purpose: Purpose, address: str) -> Identity:
        """Say who signed.

        Raises:
            Unauthorized: It is nobody's signature, or the nonce is over, of another
                node, or was used before.
            RateLimited: As that, too often; see `Access.authenticate`.
            Unavailable: The tokens have not been read yet.
        """
        if not self._access.caught_up:
            raise Unavailable(
                "the node has not read its tokens yet", retry_after_ms=500
            )
        now = self._clock.now()
        found = self._access.identity_of(proof.id)
        words = login_words(
            purpose=purpose,
            token_id=proof.id,
            node=self._node,
            cluster=self._cluster(),
            nonce=proof.nonce,
        )
        key = _NOBODY if found is None else found[1]
        signed = is_signed_by(key, proof.signature, words) and found is not None
        if not self._is_fresh(proof, now):
            raise self._refused(
                "the challenge is over, or was used before", proof, address
            )
        if not signed or found is None:
            raise self._refused(
                "the signature is nobody's who is known here", proof, address
            )
        self._use(proof.nonce, now)
        self._access.note_use(proof.id)
        return found[0]

    async def login(
        self, wanted: NewLogin, *, address: str
    ) -> tuple[Identity, TokenCreated]:
        """Let somebody in who proves who he is: a short-lived token.

        Raises:
            Invalid: Neither a key's proof nor an ID token, or both.
            Unauthorized: It proves nobody.
            Forbidden: He may not come in.
            RateLimited: Too many proved nobody, or he has too many tokens.
            Unavailable: The store, or the issuer, does not answer.
        """
        if (wanted.key is None) == (wanted.oidc is None):
            raise Invalid(
                "a login brings a key's proof or an ID token: one of them",
                remedy="nexa login --key FILE, or nexa login --oidc",
            )
        try:
            who, made = await self._let_in(wanted, address)
        except NexaError as error:
            if self.audit is not None:
                self.audit.refused(error, address=address, resource=RESOURCE)
            raise
        if self.audit is not None:
            self.audit.accepted(who, address=address, resource=RESOURCE)
        return who, made

    async def _let_in(
        self, wanted: NewLogin, address: str
    ) -> tuple[Identity, TokenCreated]:
        if wanted.key is not None:
            who = self.prove(wanted.key, purpose="login", address=address)
            return who, await self._access.open_session(who, seconds=SESSION_S)
        return await self._by_word(wanted.oidc or "", address)

    async def _by_word(self, token: str, address: str) -> tuple[Identity, TokenCreated]:
        if self._oidc is None:
            raise Invalid(
                "this cluster takes no logins by OpenID Connect",
                remedy="set [oidc] issuer and client_id in nexa.toml",
            )
        try:
            claimed = await self._oidc.verify(token)
            self._use_once(token)
            found = self._unused(claimed, token)
        except NexaError as error:
            if error.reason != "unauthorized":
                raise
            raise self._access.guesses.refused(
                "unknown",
                error.message,
                address=address,
                token_id="",
                remedy=error.remedy or "nexa login --oidc",
            ) from error
        record = TokenRecord(
            id=found,
            sha256="",
            role=claimed.role,
            name=claimed.name,
            created=self._clock.now(),
            expires=claimed.expires,
            scope=claimed.scope,
        )
        made = await self._access.open_for(record)
        return self._access.authenticate(made.token, address=address), made

    def _unused(self, claimed: Claimed, token: str) -> str:
        """An id for the login by an ID token: a person may be in at several places.

        Raises:
            Unauthorized: The token let somebody in already, through whichever node.
        """
        whose = hashlib.sha256(claimed.subject.encode()).hexdigest()[:8]
        which = hashlib.sha256(token.encode()).hexdigest()[:16]
        found = f"{VOUCHED}{whose}-{which}"
        if self._access.somebody(found) is not None:
            raise _used_before()
        return found

    def _mac(self, body: bytes, token_id: str) -> bytes:
        text = token_id.encode(errors="replace") + b"\0" + body
        return hmac.digest(self._secret, text, "sha256")[:_MAC]

    def _is_fresh(self, proof: KeyProof, now: datetime) -> bool:
        try:
            raw = base64.urlsafe_b64decode(proof.nonce)
        except ValueError:
            return False
        body, mac = raw[:-_MAC], raw[-_MAC:]
        if len(body) != _RANDOM + 8:
            return False
        if not hmac.compare_digest(mac, self._mac(body, proof.id)):
            return False
        ends = datetime.fromtimestamp(int.from_bytes(body[_RANDOM:], "big"), UTC)
        return now < ends and proof.nonce not in self._used

    def _use(self, nonce: str, now: datetime) -> None:
        while self._used and next(iter(self._used.values())) <= now:
            self._used.popitem(last=False)
        if len(self._used) >= USED_MAX:
            raise RateLimited(
                "too many logins in this minute", retry_after_ms=NONCE_S * 1000
            )
        self._used[nonce] = now + timedelta(seconds=NONCE_S)

    def _use_once(self, token: str) -> None:
        digest = hashlib.sha256(token.encode()).hexdigest()
        if digest in self._used:
            raise _used_before()
        self._use(digest, self._clock.now())

    def _refused(self, why: str, proof: KeyProof, address: str) -> NexaError:
        return self._access.guesses.refused(
            "unknown",
            why,
            address=address,
            token_id=proof.id[:64],
            remedy="ask for a new challenge, and sign it with the key that was registered:"
            " nexa token list shows it",
        )


def _used_before() -> Unauthorized:
    return Unauthorized(
        "the ID token was used before", remedy="log in again: nexa login --oidc"
    )
