"""Tokens: who holds one, making and ending them, and what is over with them.

Records are watched into memory, so a call is authenticated without a round trip and a
token revoked through any node stops working here as soon as the store says so.
"""

import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from nexa_node.contract.access import (
    ROLES,
    BuiltInRole,
    Identity,
    NewToken,
    Permission,
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
from nexa_node.core.authorization import exceeds, permissions_of
from nexa_node.core.failures import FailureLimit
from nexa_node.core.scopes import check_scope
from nexa_node.ports import Caught, Clock, Removed, TokenRecord, TokenRecords
from nexa_node.services.api import Journal

DAY_S = 24 * 60 * 60
DEFAULT_EXPIRY_S: dict[BuiltInRole, int] = {
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
OVERLAP_MAX_S = DAY_S
USED_EVERY = timedelta(minutes=10)
"""How exactly the last use of a token is known: more would be a write for each call."""
FLOOD_AGAIN_S = 60.0
"""Of too many failed logins from one address, an event is noted once in so long."""
FLOODS_MAX = 1000

Ended = Callable[[str, str], None]
"""Told the identity (`token:<id>`) that may no longer call, and why."""
Retired = Callable[[str, int, str], None]
"""Told an identity whose secrets older than that generation are over, and why."""
Changed = Callable[[Identity], None]
"""Told an identity that may something else from now on."""
Rights = Callable[[RoleName], tuple[Permission, ...] | None]
"""What a custom role may do; None of a built-in one."""


class Access:
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
        self._tokens = tokens
        self._rights = rights or _built_in_only
        self._clock = clock
        self._journal = journal
        self._entropy = entropy
        self._records: dict[str, TokenRecord] = {}
        self._unconfirmed: dict[str, TokenRecord] = {}
        self._expired: set[str] = set()
        self._listeners: list[Ended] = []
        self._retired: list[Retired] = []
        self._changed: list[Changed] = []
        self._revisions: dict[str, int] = {}
        self._used: dict[str, datetime] = {}
        self._floods: dict[str, float] = {}
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

    def on_retired(self, listener: Retired) -> None:
        """Have `listener` told of every secret that a rotation ended."""
        self._retired.append(listener)

    def on_changed(self, listener: Changed) -> None:
        """Have `listener` told of everybody whose role means something else now."""
        self._changed.append(listener)

    def role_changed(self, role: RoleName) -> None:
        """Tell of everybody who has that role. Fit for `RoleBook.on_changed`."""
        for record in self._live():
            if record.role == role:
                identity = self._identity(record)
                for listener in self._changed:
                    listener(identity)

    def holders(self, role: RoleName) -> tuple[str, ...]:
        """Ids of the tokens that have a role and work."""
        return tuple(record.id for record in self._live() if record.role == role)

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
                self._revisions[told.value.id] = told.revision
                self._take(told.value)
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
                if record.former_sha256 and _is_former_over(record, now):
                    self._retire(record)
            await self._note_uses(now)
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
        generation = self._generation(parsed.text, record)
        if record is None or generation is None:
            if not self.caught_up:
                raise Unavailable(
                    "the node has not read its tokens yet", retry_after_ms=500
                )
            told = "the token is not known here: revoked, or of another cluster"
            raise self._refuse("unknown", told, address, parsed.id)
        if _is_over(record, self._clock.now()):
            told = f"the token expired at {record.expires:%Y-%m-%d %H:%M} UTC"
            raise self._refuse("expired", told, address, parsed.id, record.role)
        self._used[record.id] = self._clock.now()
        return self._identity(record, generation)

    def _identity(self, record: TokenRecord, generation: int | None = None) -> Identity:
        return Identity(
            id=f"token:{record.id}",
            role=record.role,
            name=record.name,
            expires=record.expires,
            scope=record.scope,
            permissions=self._rights(record.role),
            generation=record.generation if generation is None else generation,
        )

    def _generation(self, text: str, record: TokenRecord | None) -> int | None:
        """Which secret of a token this is; None if it is none. In constant time."""
        now = self._clock.now()
        present = same_token(text, record.sha256 if record else "")
        former = same_token(text, record.former_sha256 if record else "")
        if record is None:
            return None
        if present:
            return record.generation
        if former and not _is_former_over(record, now):
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
        expires_s = _checked(wanted, self._rights)
        permissions = self._rights(wanted.role)
        if permissions is not None:
            beyond = exceeds(permissions, by)
            if beyond is not None:
                raise Forbidden(
                    f"{by.id} can't hand on {beyond.allow}: {by.role} lacks it"
                )
        made = make_token(self._entropy(TOKEN_ENTROPY))
        now = self._clock.now()
        record = TokenRecord(
            id=made.id,
            sha256=hash_token(made.text),
            role=wanted.role,
            name=wanted.name,
            created=now,
            expires=now + timedelta(seconds=expires_s),
            scope=wanted.scope,
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
            scope=record.scope,
        )

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
        if record is None or _is_over(record, now):
            raise NotFound(f"no token {token_id!r}", remedy="nexa token list")
        self._check_reach(record, by)
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
        return TokenCreated(
            id=new.id,
            token=made.text,
            role=new.role,
            name=new.name,
            expires=new.expires,
            scope=new.scope,
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
                last_used=self._used.get(record.id, record.last_used),
                scope=record.scope,
                rotated=record.rotated,
                overlap_until=record.former_until,
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

    def _check_reach(self, record: TokenRecord, by: Identity) -> None:
        """Refuse to hand out a secret that may what the caller may not."""
        beyond = exceeds(permissions_of(self._identity(record)), by)
        if beyond is not None:
            raise Forbidden(
                f"{by.id} can't have a secret of {record.id}: {by.role} lacks"
                f" {beyond.allow}"
            )

    async def _replace(self, record: TokenRecord) -> None:
        revision = self._revisions.get(record.id)
        if revision is None:
            raise Conflict(
                f"the token {record.id} was made a moment ago", remedy="try again"
            )
        self._revisions[record.id] = await self._tokens.replace(
            record, revision=revision
        )
        self._take(record)

    def _take(self, record: TokenRecord) -> None:
        known = self._records.get(record.id)
        if known is not None and known.generation > record.generation:
            return
        self._records[record.id] = record
        if known is not None and known.generation < record.generation:
            self._floods.pop(record.id, None)
            if _is_former_over(record, self._clock.now()):
                self._retire(record)

    def _retire(self, record: TokenRecord) -> None:
        """End what is connected by the secret before the present one, once."""
        self._records[record.id] = msgspec.structs.replace(record, former_sha256="")
        for listener in self._retired:
            listener(f"token:{record.id}", record.generation, "the token was rotated")

    async def _note_uses(self, now: datetime) -> None:
        """Write down when tokens were used last, those that were long not written."""
        for token_id, used in list(self._used.items()):
            record = self._records.get(token_id)
            if record is None:
                del self._used[token_id]
                continue
            if record.last_used is not None and used - record.last_used < USED_EVERY:
                continue
            with contextlib.suppress(Conflict, Unavailable):  # then another time
                await self._replace(msgspec.structs.replace(record, last_used=used))

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
        self._revisions.pop(token_id, None)
        self._used.pop(token_id, None)
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
        self._note_flood(address, token_id, now)
        return RateLimited(
            f"too many failed logins from {address}; the last: {message}",
            remedy=remedy,
            retry_after_ms=int(wait_s * 1000),
        )

    def _note_flood(self, address: str, token_id: str, now: float) -> None:
        if now - self._floods.get(address, now - FLOOD_AGAIN_S) < FLOOD_AGAIN_S:
            return
        if len(self._floods) >= FLOODS_MAX:
            self._floods.clear()
        self._floods[address] = now
        self._journal.record(
            "access.login_flood",
            subject=f"address/{address}",
            message=f"too many failed logins from {address}: it is made to wait",
            severity="warning",
            data={"address": address, "token": token_id},
        )


def _built_in_only(role: RoleName) -> tuple[Permission, ...] | None:
    return None if role in ROLES else ()


def _is_former_over(record: TokenRecord, now: datetime) -> bool:
    return record.former_until is None or record.former_until <= now


def _prolonged(record: TokenRecord, now: datetime) -> datetime | None:
    """The end of a rotated token: as long from now as it was from its last secret."""
    if record.expires is None:
        return None
    return now + (record.expires - (record.rotated or record.created))


def _is_over(record: TokenRecord, now: datetime) -> bool:
    return record.expires is not None and record.expires <= now


def _remedy(reason: str, role: RoleName | None) -> str:
    make = f"nexa token create --role {role or 'operator'}"
    if reason == "missing":
        return f"log in: nexa login URL with a token that an admin makes with: {make}"
    return f"log in again: nexa login URL with a new token, made with: {make}"


def _checked(wanted: NewToken, rights: Rights) -> int:
    """The lifetime of a token to be made, in seconds, if all about it makes sense."""
    if wanted.role not in ROLES and not rights(wanted.role):
        raise Invalid(
            f"no role {wanted.role[:80]!r}",
            remedy=f"choose one of {', '.join(ROLES)}, or see nexa role list",
        )
    check_scope(wanted.scope)
    if len(wanted.name) > NAME_MAX:
        raise Invalid(f"a token's name has at most {NAME_MAX} characters")
    expires_s = wanted.expires_s
    if expires_s is None:
        return next(
            (each for role, each in DEFAULT_EXPIRY_S.items() if role == wanted.role),
            30 * DAY_S,
        )
    if not 0 < expires_s <= EXPIRY_MAX_S:
        raise Invalid(
            f"a token lives from 1 to {EXPIRY_MAX_S} seconds, not {expires_s}",
            remedy="give --expires 30d, say",
        )
    return expires_s
