"""Making tokens: ones that last, and short-lived ones for who proved who he is."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import msgspec

from nexa_node.contract.access import Identity, NewToken, TokenCreated
from nexa_node.contract.errors import Forbidden, RateLimited
from nexa_node.core.access import TOKEN_ENTROPY, hash_token, make_token
from nexa_node.core.delegation import beyond, granted_to
from nexa_node.ports import Clock, TokenRecord, TokenRecords
from nexa_node.services.access.certified import Certified
from nexa_node.services.access.issuing import Rights, lifetime_s
from nexa_node.services.api import Journal

SESSIONS_MAX = 100
"""Short-lived tokens that one token's holder has at once."""

Prove = Callable[[TokenRecord], Awaitable[TokenRecord]]


class Making(Certified):
    """The part of `Access` that makes tokens."""

    def __init__(
        self,
        *,
        tokens: TokenRecords,
        clock: Clock,
        journal: Journal,
        entropy: Callable[[int], bytes],
        rights: Rights | None = None,
    ) -> None:
        """As `Access`."""
        super().__init__(tokens=tokens, clock=clock, journal=journal, rights=rights)
        self._entropy = entropy

    async def create(
        self, wanted: NewToken, *, by: Identity, prove: Prove | None = None
    ) -> TokenCreated:
        """Make a token; it works here as soon as this returns.

        Args:
            wanted: What for.
            by: Who wants it.
            prove: Completes the record of one that is proved otherwise than by a secret.

        Raises:
            Invalid: The role, the name, the key or the expiry makes no sense.
            Forbidden: It may what its maker may not.
            Unavailable: The store did not take it.
        """
        expires_s = lifetime_s(wanted, self._rights)
        granted = granted_to(wanted.role, self._rights(wanted.role))
        more = beyond(granted, wanted.scope, by)
        if more is not None:
            raise Forbidden(
                f"{by.id} can't hand on what it has not: {more}",
                remedy="ask for a role and a scope within your own, or an admin for this",
            )
        made = make_token(self._entropy(TOKEN_ENTROPY))
        now = self._clock.now()
        key = wanted.public_key or ""
        no_secret = bool(key) or prove is not None
        record = TokenRecord(
            id=made.id,
            sha256="" if no_secret else hash_token(made.text),
            role=wanted.role,
            name=wanted.name,
            created=now,
            expires=now + timedelta(seconds=expires_s),
            scope=wanted.scope,
            public_key=key,
        )
        if prove is not None:
            record = await prove(record)
        await self._store(record)
        self._journal.record(
            "token.created",
            subject=f"token/{record.id}",
            message=f"{by.id} made a token of the role {record.role}",
            data={"by": by.id, "role": record.role, "name": record.name},
        )
        return as_created(record, "" if no_secret else made.text)

    async def open_session(self, identity: Identity, *, seconds: int) -> TokenCreated:
        """Make a short-lived token for somebody who proved to have a token's key.

        It ends with that token, at the latest, and may what that one may, at any time.

        Raises:
            RateLimited: He has too many of them.
            Unavailable: The store did not take it.
        """
        now = self._clock.now()
        holder = identity.id.removeprefix("token:")
        have = sum(one.of == holder for one in self._live())
        if have >= SESSIONS_MAX:
            raise RateLimited(
                f"{identity.id} has {have} short-lived tokens already",
                remedy="go on with one of them until it ends",
                retry_after_ms=60_000,
            )
        ends = now + timedelta(seconds=seconds)
        return await self.open_for(
            TokenRecord(
                id="",
                sha256="",
                role=identity.role,
                name=identity.name,
                created=now,
                expires=min(ends, identity.expires or ends),
                scope=identity.scope,
                of=holder,
            )
        )

    async def open_for(self, record: TokenRecord) -> TokenCreated:
        """Store a record with a secret that is drawn now, and an id if it has none.

        Raises:
            Unavailable: The store did not take it.
        """
        made = make_token(self._entropy(TOKEN_ENTROPY), token_id=record.id or None)
        kept = msgspec.structs.replace(record, id=made.id, sha256=hash_token(made.text))
        await self._store(kept)
        return as_created(kept, made.text)


def as_created(record: TokenRecord, text: str) -> TokenCreated:
    """What its maker is told of a token; `text` is its secret, told once."""
    return TokenCreated(
        id=record.id,
        token=text,
        role=record.role,
        name=record.name,
        expires=record.expires,
        scope=record.scope,
    )
