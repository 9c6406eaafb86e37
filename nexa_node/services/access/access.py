"""Tokens: who holds one, making and ending them, and what is over with them.

Records are watched into memory, so a call is authenticated without a round trip and a
token revoked through any node stops working here as soon as the store says so.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from nexa_node.contract.access import (
    ROLES,
    Identity,
    NewToken,
    RoleName,
    TokenCreated,
    TokenView,
)
from nexa_node.contract.errors import (
    Invalid,
    NexaError,
    NotFound,
    RateLimited,
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
from nexa_node.core.failures import FailureLimit
from nexa_node.ports import Caught, Clock, Removed, TokenRecord, TokenRecords
from nexa_node.services.api import Journal

DAY_S = 24 * 60 * 60
DEFAULT_EXPIRY_S: dict[RoleName, int] = {
    "viewer": 30 * DAY_S,
    "operator": 30 * DAY_S,
    "admin": 30 * DAY_S,
    "auditor": 30 * DAY_S,
    "agent": 90 * DAY_S,
    "node": 90 * DAY_S,
}
"""How long a token lives when its maker does not say; the first one of a node for ever."""
EXPIRY_MAX_S = 10 * 365 * DAY_S
NAME_MAX = 100
EXPIRY_CHECK_S = 1.0

Ended = Callable[[str, str], None]
"""Told the identity (`token:<id>`) that may no longer call, and why."""


class Access:
    """The tokens of the cluster, and the limit on guessing them."""

    def __init__(
        self,
        *,
        tokens: TokenRecords,
        clock: Clock,
        journal: Journal,
        entropy: Callable[[int], bytes],
    ) -> None:
        """Know nobody yet; `watch` reads the records.

        Args:
            tokens: Where they are kept.
            clock: Expiry is by its wall clock, limits by its monotonic one.
            journal: Told of each token made, revoked and expired.
            entropy: That many random bytes, fit for secrets.
        """
        self._tokens = tokens
        self._clock = clock
        self._journal = journal
        self._entropy = entropy
        self._records: dict[str, TokenRecord] = {}
        self._unconfirmed: dict[str, TokenRecord] = {}
        self._expired: set[str] = set()
        self._listeners: list[Ended] = []
        self._limit = FailureLimit()
        self.caught_up = False
        """All records that there were at the start have been read."""
        self.failures: dict[str, int] = dict.fromkeys(
            ("missing", "malformed", "unknown", "expired"), 0
        )
        """Refused attempts since the start, by reason."""
        self.limited = 0
        """Of them, how many were over the limit."""

    def on_ended(self, listener: Ended) -> None:
        """Have `listener` told of every token that is revoked or expires."""
        self._listeners.append(listener)

    async def watch(self) -> None:
        """Keep the records in memory, for ever. A service's loop."""
        seen: set[str] = set()
        async for told in self._tokens.watch():
            if isinstance(told, Caught):
                for gone in self._records.keys() - seen:
                    self._forget(gone)
                self.caught_up = True
            elif isinstance(told, Removed):
                self._forget(told.key)
            else:
                seen.add(told.value.id)
                self._records[told.value.id] = told.value
                self._unconfirmed.pop(told.value.id, None)
                self._expired.discard(told.value.id)

    async def expire(self) -> None:
        """End what is connected by tokens whose time comes. A service's loop."""
        while True:
            now = self._clock.now()
            for record in list(self._records.values()):
                if _is_over(record, now) and record.id not in self._expired:
                    self._expired.add(record.id)
                    self._journal.record(
                        "token.expired",
                        subject=f"token/{record.id}",
                        message=f"the {record.role} token of {record.name!r} expired",
                        severity="warning",
                    )
                    self._tell(record.id, "the token expired")
            await self._clock.sleep(EXPIRY_CHECK_S)

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
            raise Unauthorized("no token was given", remedy=_remedy("missing", None))
        parsed = parse_token(token)
        if parsed is None:
            told = "the token is malformed: cut off or mistyped"
            raise self._refuse("malformed", told, address, "")
        record = self._find(parsed.id)
        known = same_token(parsed.text, record.sha256 if record else "")
        if record is None or not known:
            if not self.caught_up:
                raise Unavailable(
                    "the node has not read its tokens yet", retry_after_ms=500
                )
            told = "the token is not known here: revoked, or of another cluster"
            raise self._refuse("unknown", told, address, parsed.id)
        if _is_over(record, self._clock.now()):
            told = f"the token expired at {record.expires:%Y-%m-%d %H:%M} UTC"
            raise self._refuse("expired", told, address, parsed.id, record.role)
        return Identity(
            id=f"token:{record.id}",
            role=record.role,
            name=record.name,
            expires=record.expires,
        )

    async def identify(self, token: str | None, address: str) -> Identity:
        """As `authenticate`, in the shape that sessions ask for."""
        return self.authenticate(token, address=address)

    def still_valid(self, identity: Identity) -> bool:
        """Say whether what `authenticate` answered once would be answered now."""
        record = self._find(identity.id.removeprefix("token:"))
        return record is not None and not _is_over(record, self._clock.now())

    async def ensure(
        self, role: RoleName, *, name: str, token: str, admitted: bool = False
    ) -> bool:
        """Make sure that `token` opens this node; for its first credential.

        A token that is known is left alone. One that is not is stored, without an end, in
        place of an older one of the same role and name (whose file must have been lost) —
        unless somebody else holds a live token of that role: then the first credential
        was revoked on purpose, and stays so.

        Args:
            role: Of the token.
            name: What it is called.
            token: Its text.
            admitted: It is the first one of a node that joined: an admin let it in, so
                others who hold tokens are no reason against it.

        Returns:
            Whether the token opens the node now; if not, its file is of no use.

        Raises:
            Invalid: It is no token.
            Unavailable: The store does not answer, or has not been read yet.
        """
        parsed = parse_token(token)
        if parsed is None:
            raise Invalid("the first token is malformed: its file was changed")
        if not self.caught_up:
            raise Unavailable("the node has not read its tokens yet")
        record = self._find(parsed.id)
        if record is not None:
            live = not _is_over(record, self._clock.now())
            return live and same_token(token, record.sha256)
        holders = [one for one in self._live() if one.role == role]
        lost = [one for one in holders if one.name == name and one.expires is None]
        if len(holders) > len(lost) and not admitted:
            return False
        await self._store(
            TokenRecord(
                id=parsed.id,
                sha256=hash_token(token),
                role=role,
                name=name,
                created=self._clock.now(),
                expires=None,
            )
        )
        for one in lost:
            await self._end(one.id, "it was replaced: its file was lost")
        return True

    async def create(self, wanted: NewToken, *, by: Identity) -> TokenCreated:
        """Make a token; it works here as soon as this returns.

        Raises:
            Invalid: The role, the name or the expiry makes no sense.
            Unavailable: The store did not take it.
        """
        expires_s = _checked(wanted)
        made = make_token(self._entropy(TOKEN_ENTROPY))
        now = self._clock.now()
        record = TokenRecord(
            id=made.id,
            sha256=hash_token(made.text),
            role=wanted.role,
            name=wanted.name,
            created=now,
            expires=now + timedelta(seconds=expires_s),
        )
        await self._store(record)
        self._journal.record(
            "token.created",
            subject=f"token/{record.id}",
            message=f"{by.id} made a token of the role {record.role}",
            data={"by": by.id, "role": record.role, "name": record.name},
        )
        return TokenCreated(
            id=record.id,
            token=made.text,
            role=record.role,
            name=record.name,
            expires=record.expires,
        )

    def views(self) -> tuple[TokenView, ...]:
        """All tokens, newest first, expired ones included."""
        records = {**self._unconfirmed, **self._records}.values()
        newest = sorted(records, key=lambda one: (one.created, one.id), reverse=True)
        return tuple(
            TokenView(
                id=record.id,
                role=record.role,
                name=record.name,
                created=record.created,
                expires=record.expires,
            )
            for record in newest
        )

    async def revoke(self, token_id: str, *, by: Identity) -> None:
        """End a token, here at once and everywhere within moments.

        Raises:
            NotFound: There is none with that id.
            Unavailable: The store did not take it; the token still works.
        """
        if self._find(token_id) is None:
            raise NotFound(f"no token {token_id!r}", remedy="nexa token list")
        await self._end(token_id, "the token was revoked")
        self._journal.record(
            "token.revoked",
            subject=f"token/{token_id}",
            message=f"{by.id} revoked the token {token_id}",
            severity="warning",
            data={"by": by.id},
        )

    async def _end(self, token_id: str, why: str) -> None:
        await self._tokens.delete(token_id)
        self._forget(token_id, why)

    async def _store(self, record: TokenRecord) -> None:
        """Store a record, and know it before the watch tells it."""
        self._unconfirmed[record.id] = record
        try:
            await self._tokens.put(record)
        except BaseException:
            self._unconfirmed.pop(record.id, None)
            raise

    def _forget(self, token_id: str, why: str = "the token was revoked") -> None:
        known = self._records.pop(token_id, None) is not None
        known |= self._unconfirmed.pop(token_id, None) is not None
        self._expired.discard(token_id)
        if known:
            self._tell(token_id, why)

    def _tell(self, token_id: str, why: str) -> None:
        for listener in self._listeners:
            listener(f"token:{token_id}", why)

    def _find(self, token_id: str) -> TokenRecord | None:
        return self._records.get(token_id) or self._unconfirmed.get(token_id)

    def _live(self) -> list[TokenRecord]:
        now = self._clock.now()
        return [one for one in self._records.values() if not _is_over(one, now)]

    def _refuse(
        self,
        reason: str,
        message: str,
        address: str,
        token_id: str,
        role: RoleName | None = None,
    ) -> NexaError:
        self.failures[reason] += 1
        remedy = _remedy(reason, role)
        now = self._clock.monotonic()
        wait_s = self._limit.failed(address, token_id, now=now)
        if wait_s is None:
            return Unauthorized(message, remedy=remedy)
        self.limited += 1
        return RateLimited(
            f"too many failed logins from {address}; the last: {message}",
            remedy=remedy,
            retry_after_ms=int(wait_s * 1000),
        )


def _is_over(record: TokenRecord, now: datetime) -> bool:
    return record.expires is not None and record.expires <= now


def _remedy(reason: str, role: RoleName | None) -> str:
    make = f"nexa token create --role {role or 'operator'}"
    if reason == "missing":
        return f"log in: nexa login URL with a token that an admin makes with: {make}"
    return f"log in again: nexa login URL with a new token, made with: {make}"


def _checked(wanted: NewToken) -> int:
    """The lifetime of a token to be made, in seconds, if all about it makes sense."""
    if wanted.role not in ROLES:
        raise Invalid(
            f"no role {wanted.role!r}", remedy=f"choose one of {', '.join(ROLES)}"
        )
    if len(wanted.name) > NAME_MAX:
        raise Invalid(f"a token's name has at most {NAME_MAX} characters")
    expires_s = wanted.expires_s
    if expires_s is None:
        return DEFAULT_EXPIRY_S[wanted.role]
    if not 0 < expires_s <= EXPIRY_MAX_S:
        raise Invalid(
            f"a token lives from 1 to {EXPIRY_MAX_S} seconds, not {expires_s}",
            remedy="give --expires 30d, say",
        )
    return expires_s
