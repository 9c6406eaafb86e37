"""The records of tokens: watched into memory, changed in the store, ended in time."""

import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from nexa_node.contract.access import ROLES, VOUCHED, Identity, Permission, RoleName
from nexa_node.contract.errors import Conflict, Invalid, Unavailable
from nexa_node.core.access import hash_token, parse_token, same_token
from nexa_node.core.delegation import is_admin
from nexa_node.ports import Caught, Clock, Removed, TokenRecord, TokenRecords
from nexa_node.services.access.issuing import DAY_S, Rights
from nexa_node.services.api import Journal

EXPIRY_CHECK_S = 1.0
USED_EVERY = timedelta(minutes=10)
"""How exactly the last use of a token is known: more would be a write for each call."""
ENDING_S = 14 * DAY_S
"""So long before the last admin's end, somebody is told."""
SWEPT = timedelta(minutes=1)
"""A short-lived token that is over goes from the store after so long."""

Ended = Callable[[str, str], None]
"""Told the identity (`token:<id>`) that may no longer call, and why."""
Retired = Callable[[str, int, str], None]
"""Told an identity whose secrets older than that generation are over, and why."""
Changed = Callable[[Identity], None]
"""Told an identity that may something else from now on."""

OWN = (Permission(allow="node:read"), Permission(allow="sessions:open"))
"""What a node may that calls itself, to test itself."""


class TokenBook:
    """Every token of the cluster, as this node knows it."""

    def __init__(
        self,
        *,
        tokens: TokenRecords,
        clock: Clock,
        journal: Journal,
        rights: Rights | None = None,
    ) -> None:
        """Know none yet; `watch` reads them.

        Args:
            tokens: Where they are kept.
            clock: Expiry is by its wall clock.
            journal: Told of each token that expires.
            rights: The cluster's own roles; without it, there are none.
        """
        self._tokens = tokens
        self._rights = rights or _built_in_only
        self._clock = clock
        self._journal = journal
        self._records: dict[str, TokenRecord] = {}
        self._unconfirmed: dict[str, TokenRecord] = {}
        self._own: TokenRecord | None = None
        self._expired: set[str] = set()
        self._warned = ""
        self._listeners: list[Ended] = []
        self._retired: list[Retired] = []
        self._changed: list[Changed] = []
        self._revisions: dict[str, int] = {}
        self._used: dict[str, datetime] = {}
        self.caught_up = False
        """All records that there were at the start have been read."""

    def on_ended(self, listener: Ended) -> None:
        """Have `listener` told of every token that is revoked or expires."""
        self._listeners.append(listener)

    def on_retired(self, listener: Retired) -> None:
        """Have `listener` told of every secret that a rotation ended."""
        self._retired.append(listener)

    def on_changed(self, listener: Changed) -> None:
        """Have `listener` told of everybody whose role means something else now."""
        self._changed.append(listener)

    def admit_own(self, token: str) -> None:
        """Let the node call itself by a token that no store has and nobody else knows.

        Raises:
            Invalid: It is no token.
        """
        parsed = parse_token(token)
        if parsed is None:
            raise Invalid("the node's own token is malformed")
        self._own = TokenRecord(
            id=parsed.id,
            sha256=hash_token(token),
            role="node",
            name="this node",
            created=self._clock.now(),
            expires=None,
        )

    async def ensure(
        self,
        role: RoleName,
        *,
        name: str,
        token: str,
        admitted: bool = False,
        kept: bool = False,
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
            kept: It is of an earlier start. If tokens are known and this one is not, it
                was revoked: it never opens anything again, whoever else may be there.

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
            live = not is_over(record, self._clock.now())
            return live and same_token(token, record.sha256)
        if kept and self._records:
            return False
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
                if is_over(record, now) and record.id not in self._expired:
                    self._expired.add(record.id)
                    if not record.of:
                        self._journal.record(
                            "token.expired",
                            subject=f"token/{record.id}",
                            message=f"the {record.role} token of {record.name!r} expired",
                            severity="warning",
                        )
                    self._tell(record.id, "the token expired")
                if record.former_sha256 and is_former_over(record, now):
                    self._retire(record)
            self._warn_of_last(now)
            await self._note_uses(now)
            await self._sweep(now)
            await self._clock.sleep(EXPIRY_CHECK_S)

    def _identity(self, record: TokenRecord, generation: int | None = None) -> Identity:
        """Who holds a token; of a short-lived one, whoever logged in for it."""
        holder = self._find(record.of) if record.of else record
        holder = record if holder is None else holder
        return Identity(
            id=f"token:{holder.id}",
            role=holder.role,
            name=holder.name,
            expires=record.expires,
            scope=holder.scope,
            permissions=OWN if record is self._own else self._rights(holder.role),
            generation=record.generation if generation is None else generation,
            session=f"token:{record.id}" if record.of else "",
        )

    def _warn_of_last(self, now: datetime) -> None:
        """Say in time that the last admin's token ends."""
        admins = [one for one in self._live() if is_lasting_admin(one)]
        ends = [one.expires for one in admins if one.expires is not None]
        if not ends or len(ends) < len(admins):
            return
        last = max(ends)
        if (last - now).total_seconds() > ENDING_S or str(last) == self._warned:
            return
        self._warned = str(last)
        self._journal.record(
            "token.last_admin_ends",
            subject="cluster",
            message=f"no admin's token is good after {last:%Y-%m-%d %H:%M} UTC:"
            " make or rotate one before (nexa token rotate)",
            severity="critical",
            data={"ends": last.isoformat()},
        )

    async def _sweep(self, now: datetime) -> None:
        """Take short-lived tokens from the store that are over."""
        for record in list(self._records.values()):
            ends = record.expires
            short = bool(record.of) or record.id.startswith(VOUCHED)
            if short and ends is not None and ends + SWEPT <= now:
                try:
                    await self._tokens.delete(record.id)
                except Unavailable:
                    return  # then another time
                self._records.pop(record.id, None)

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
        newer = known is not None and known.generation < record.generation
        if newer and is_former_over(record, self._clock.now()):
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
        if self._own is not None and token_id == self._own.id:
            return self._own
        return self._records.get(token_id) or self._unconfirmed.get(token_id)

    def _live(self) -> list[TokenRecord]:
        now = self._clock.now()
        return [one for one in self._records.values() if not is_over(one, now)]


def _built_in_only(role: RoleName) -> tuple[Permission, ...] | None:
    return None if role in ROLES else ()


def is_former_over(record: TokenRecord, now: datetime) -> bool:
    """Say whether the secret before works no more."""
    return record.former_until is None or record.former_until <= now


def is_lasting_admin(record: TokenRecord) -> bool:
    """Say whether a token is an admin's, and no short-lived one for a login."""
    short = bool(record.of) or record.id.startswith(VOUCHED)
    return is_admin(record.role, record.scope) and not short


def is_over(record: TokenRecord, now: datetime) -> bool:
    """Say whether its time has come."""
    return record.expires is not None and record.expires <= now
