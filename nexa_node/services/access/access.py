"""Who calls: whose token that is; making tokens, giving them new secrets, ending them.

Records are in memory (`book.py`), so a call is authenticated without a round trip and a
token revoked through any node stops working here as soon as the store says so. Nobody
makes, gets or ends a token that may what he himself may not (`core/delegation.py`).
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from nexa_node.contract.access import (
    VOUCHED,
    Identity,
    RoleName,
    TokenCreated,
    TokenView,
)
from nexa_node.contract.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NexaError,
    NotFound,
    Unauthorized,
    Unavailable,
)
from nexa_node.core.access import (
    TOKEN_ENTROPY,
    hash_token,
    make_token,
    parse_token,
    same_token,
)
from nexa_node.core.delegation import beyond, granted_to
from nexa_node.ports import Clock, TokenRecord, TokenRecords
from nexa_node.services.access.book import (
    is_former_over,
    is_lasting_admin,
    is_over,
)
from nexa_node.services.access.guesses import Guesses
from nexa_node.services.access.issuing import DAY_S, Rights, remedy_for
from nexa_node.services.access.making import Making, as_created
from nexa_node.services.api import Journal

OVERLAP_MAX_S = DAY_S


class Access(Making):
    """The tokens of the cluster, and the limit on guessing them."""

    def __init__(
        self,
        *,
        tokens: TokenRecords,
        clock: Clock,
        journal: Journal,
        entropy: Callable[[int], bytes],
        rights: Rights | None = None,
    ) -> None:
        """Know nobody yet; `watch` reads the records.

        Args:
            tokens: Where they are kept.
            clock: Expiry is by its wall clock, limits by its monotonic one.
            journal: Told of each token made, revoked and expired.
            entropy: That many random bytes, fit for secrets.
            rights: The cluster's own roles; without it, there are none.
        """
        super().__init__(
            tokens=tokens, clock=clock, journal=journal, entropy=entropy, rights=rights
        )
        self._revoked: list[Callable[[str], None]] = []
        self._by_certificate: dict[str, str] = {}
        self.guesses = Guesses(clock=clock, journal=journal)
        """What was refused."""

    def on_revoked(self, listener: Callable[[str], None]) -> None:
        """Have `listener` told the id of every token that is revoked through this node."""
        self._revoked.append(listener)

    @property
    def failures(self) -> dict[str, int]:
        """Refused attempts since the start, by reason."""
        return self.guesses.failures

    @property
    def limited(self) -> int:
        """Of them, how many were over the limit."""
        return self.guesses.limited

    def role_changed(self, role: RoleName) -> None:
        """Tell of everybody who has that role. Fit for `RoleBook.on_changed`."""
        for record in self._live():
            if record.role == role and not record.of:
                identity = self._identity(record)
                for listener in self._changed:
                    listener(identity)

    def holders(self, role: RoleName) -> tuple[str, ...]:
        """Ids of the tokens that have a role and work."""
        return tuple(record.id for record in self._live() if record.role == role)

    def authenticate(self, token: str | None, *, address: str) -> Identity:
        """Say who holds `token`.

        Raises:
            Unauthorized: No token, or one that is malformed, unknown or expired.
            RateLimited: As that, and too many like it from `address`: 20 a minute, or 5
                with the same token id. A good token is never limited, so a misbehaving
                neighbour behind the same address shuts nobody out.
            Unavailable: The tokens have not been read yet.
        """
        if not token:
            # Nobody guesses by saying nothing: counted, and not held against an address
            # that the self-test and load balancers ask from, too.
            self.failures["missing"] += 1
            raise Unauthorized("no token was given", remedy=remedy_for("missing", None))
        parsed = parse_token(token)
        if parsed is None:
            told = "the token is malformed: cut off or mistyped"
            raise self._refuse("malformed", told, address, "")
        record = self._find(parsed.id)
        generation = self._generation(parsed.text, record)
        if record is None or generation is None:
            if not self.caught_up:
                raise Unavailable(
                    "the node has not read its tokens yet", retry_after_ms=500
                )
            told = "the token is not known here: revoked, or of another cluster"
            raise self._refuse("unknown", told, address, parsed.id)
        if is_over(record, self._clock.now()):
            told = f"the token expired at {record.expires:%Y-%m-%d %H:%M} UTC"
            raise self._refuse("expired", told, address, parsed.id, record.role)
        holder = self._find(record.of) if record.of else record
        if holder is None or is_over(holder, self._clock.now()):
            told = "whoever logged in for this token may not any more"
            raise self._refuse("unknown", told, address, parsed.id)
        if record is not self._own:
            self._used[holder.id] = self._clock.now()
        return self._identity(record, generation)

    def identity_of(self, token_id: str) -> tuple[Identity, str] | None:
        """Who a token with a public key is for, and that key; None if there is none.

        One that is over is as one that never was.
        """
        record = self._find(token_id)
        if record is None or not record.public_key:
            return None
        if is_over(record, self._clock.now()):
            return None
        return self._identity(record), record.public_key

    def note_use(self, token_id: str) -> None:
        """Know that a token was used now."""
        self._used[token_id] = self._clock.now()

    def _generation(self, text: str, record: TokenRecord | None) -> int | None:
        """Which secret of a token this is; None if it is none. In constant time."""
        now = self._clock.now()
        present = same_token(text, record.sha256 if record else "")
        former = same_token(text, record.former_sha256 if record else "")
        if record is None:
            return None
        if present:
            return record.generation
        if former and not is_former_over(record, now):
            return record.generation - 1
        return None

    def somebody(self, token_id: str) -> Identity | None:
        """Whoever holds the token of that id; None if there is none."""
        record = self._find(token_id.removeprefix("token:"))
        return None if record is None else self._identity(record)

    async def identify(self, token: str | None, address: str) -> Identity:
        """As `authenticate`, in the shape that sessions ask for."""
        return self.authenticate(token, address=address)

    def still_valid(self, identity: Identity) -> bool:
        """Say whether what `authenticate` answered once would be answered now."""
        for one in filter(None, (identity.id, identity.session)):
            record = self._find(one.removeprefix("token:"))
            if record is None or is_over(record, self._clock.now()):
                return False
        return True

    async def rotate(
        self, token_id: str, *, overlap_s: int, by: Identity
    ) -> TokenCreated:
        """Give a token a new secret; the one before works for `overlap_s` yet.

        Its id, and so its sessions and what it owns, stay. What is connected by the
        secret before is closed when that ends.

        Raises:
            Invalid: The overlap makes no sense.
            NotFound: There is no such token.
            Forbidden: It may what the caller may not.
            Conflict: Somebody changed it at the same time.
            Unavailable: The store did not take it; the secret is as before.
        """
        if not 0 <= overlap_s <= OVERLAP_MAX_S:
            raise Invalid(
                f"an overlap is 0 to {OVERLAP_MAX_S} seconds, not {overlap_s}",
                remedy="give --overlap 10m, say",
            )
        now = self._clock.now()
        record = self._find(token_id)
        if record is None or is_over(record, now):
            raise NotFound(f"no token {token_id!r}", remedy="nexa token list")
        self._check_reach(record, by, "have a secret of")
        if record.certificates:
            raise Invalid(
                f"{record.id} is a certificate: it has no secret to rotate",
                remedy="nexa cert renew, by who has it",
            )
        vouched = record.id.startswith(VOUCHED)
        if record.public_key or record.of or vouched:
            kind = "has a public key" if record.public_key else "is short-lived"
            raise Invalid(
                f"the token {record.id} {kind}: it has no secret to rotate",
                remedy="make another one, then: nexa token revoke " + record.id,
            )
        made = make_token(self._entropy(TOKEN_ENTROPY), token_id=record.id)
        new = msgspec.structs.replace(
            record,
            sha256=hash_token(made.text),
            generation=record.generation + 1,
            rotated=now,
            former_sha256=record.sha256,
            former_until=now + timedelta(seconds=overlap_s),
            expires=_prolonged(record, now),
        )
        await self._replace(new)
        self._journal.record(
            "token.rotated",
            subject=f"token/{record.id}",
            message=f"{by.id} gave the token {record.id} a new secret",
            data={"by": by.id, "overlap_s": overlap_s},
        )
        return as_created(new, made.text)

    def views(self) -> tuple[TokenView, ...]:
        """All tokens, newest first, expired ones included."""
        records = {**self._unconfirmed, **self._records}.values()
        newest = sorted(records, key=lambda one: (one.created, one.id), reverse=True)
        return tuple(self._view(record) for record in newest)

    def _view(self, record: TokenRecord) -> TokenView:
        return TokenView(
            id=record.id,
            role=record.role,
            name=record.name,
            created=record.created,
            expires=record.expires,
            last_used=self._used.get(record.id, record.last_used),
            scope=record.scope,
            rotated=record.rotated,
            overlap_until=record.former_until,
            public_key=record.public_key,
            of=record.of,
            certificates=record.certificates,
        )

    async def revoke(self, token_id: str, *, by: Identity) -> None:
        """End a token, here at once and everywhere within moments.

        Raises:
            NotFound: There is none with that id.
            Forbidden: Its holder may what the caller may not.
            Conflict: Nobody could administer the cluster any more.
            Unavailable: The store did not take it; the token still works.
        """
        self._check_revocable(token_id, by)
        await self._end(token_id, "the token was revoked")
        for listener in self._revoked:
            listener(token_id)
        self._journal.record(
            "token.revoked",
            subject=f"token/{token_id}",
            message=f"{by.id} revoked the token {token_id}",
            severity="warning",
            data={"by": by.id},
        )

    def revocable(self, token_id: str, *, by: Identity) -> TokenView:
        """The token that `revoke` would end; raises what that would, but Unavailable."""
        return self._view(self._check_revocable(token_id, by))

    def short_lived(self, token_id: str) -> int:
        """How many short-lived tokens there are that end with this one."""
        return sum(one.of == token_id for one in self._live())

    def _check_revocable(self, token_id: str, by: Identity) -> TokenRecord:
        record = self._find(token_id)
        if record is None or record is self._own:
            raise NotFound(f"no token {token_id!r}", remedy="nexa token list")
        if by.id != f"token:{record.id}":  # anybody may give up his own
            self._check_reach(record, by, "revoke")
        self._check_last(record)
        return record

    def _check_reach(self, record: TokenRecord, by: Identity, what: str) -> None:
        """Refuse to touch what reaches farther than the caller."""
        granted = granted_to(record.role, self._rights(record.role))
        more = beyond(granted, record.scope, by)
        if more is not None:
            raise Forbidden(f"{by.id} can't {what} {record.id}: {more}")

    def _check_last(self, record: TokenRecord) -> None:
        """Refuse to end the last admin's token."""
        if not is_lasting_admin(record):
            return
        now = self._clock.now()
        known = {**self._unconfirmed, **self._records}.values()
        others = [one for one in known if is_lasting_admin(one) and one.id != record.id]
        if is_over(record, now) or any(not is_over(one, now) for one in others):
            return
        raise Conflict(
            f"{record.id} is the last admin's token: nobody could make another one",
            remedy="make one first: nexa token create --role admin",
        )

    def _refuse(
        self,
        reason: str,
        message: str,
        address: str,
        token_id: str,
        role: RoleName | None = None,
    ) -> NexaError:
        return self.guesses.refused(
            reason,
            message,
            address=address,
            token_id=token_id,
            remedy=remedy_for(reason, role),
        )


def _prolonged(record: TokenRecord, now: datetime) -> datetime | None:
    """The end of a rotated token: as long from now as it was from its last secret."""
    if record.expires is None:
        return None
    return now + (record.expires - (record.rotated or record.created))
