"""Holders of certificates, among those of tokens: whose one is, and which ones are good."""

from datetime import datetime

import msgspec

from nexa_node.contract.access import Identity
from nexa_node.contract.errors import Forbidden, NotFound, Unavailable
from nexa_node.core.delegation import beyond, granted_to
from nexa_node.ports import TokenRecord
from nexa_node.services.access.book import TokenBook, is_over
from nexa_node.services.access.guesses import Guesses
from nexa_node.services.access.issuing import remedy_for


class Certified(TokenBook):
    """Records that are proved by a certificate."""

    guesses: Guesses
    _by_certificate: dict[str, str]
    """Whose it was when it was looked for; looked up again each time."""

    def by_certificate(self, sha256: str, *, address: str) -> Identity:
        """Say whose certificate that is; that its authority signed it is known already.

        Raises:
            Unauthorized: Nobody's: it was revoked, or its time is over.
            RateLimited: As that, and too many like it from `address`.
            Unavailable: The tokens have not been read yet.
        """
        record = self._shown_by(sha256)
        if record is None and not self.caught_up:
            raise Unavailable(
                "the node has not read its tokens yet", retry_after_ms=500
            )
        if record is None:
            raise self.guesses.refused(
                "unknown",
                "the certificate is not known here: revoked, or never registered",
                address=address,
                token_id=sha256[:16],
                remedy=_REMEDY,
            )
        if is_over(record, self._clock.now()):
            raise self.guesses.refused(
                "expired",
                f"the certificate ended at {record.expires:%Y-%m-%d %H:%M} UTC",
                address=address,
                token_id=record.id,
                remedy=_REMEDY,
            )
        self._used[record.id] = self._clock.now()
        return self._identity(record)

    def must_have(self, token_id: str) -> TokenRecord:
        """The record of a certificate.

        Raises:
            NotFound: There is none of that id, or it ended.
        """
        record = self._find(token_id)
        if record is None or not record.certificates:
            raise NotFound(f"no certificate {token_id!r}", remedy="nexa cert list")
        if is_over(record, self._clock.now()):
            raise NotFound(
                f"the certificate {token_id!r} ended", remedy="nexa cert issue"
            )
        return record

    async def recertify(
        self, token_id: str, sha256: str, *, ends: datetime, by: Identity
    ) -> TokenRecord:
        """Have a further certificate prove somebody; the one before does, too.

        Raises:
            NotFound: There is nobody of that id who has one.
            Conflict: Somebody changed it at the same time.
            Unavailable: The store did not take it.
        """
        record = self.must_have(token_id)
        new = msgspec.structs.replace(
            record,
            certificates=(sha256, record.certificates[0]),
            rotated=self._clock.now(),
            expires=ends,
        )
        await self._replace(new)
        self._journal.record(
            "certificate.reissued",
            subject=f"token/{record.id}",
            message=f"{by.id} renewed the certificate {record.id}",
            data={"by": by.id, "ends": ends.isoformat()},
        )
        return new

    def check_may_renew(self, record: TokenRecord, by: Identity) -> None:
        """Let anybody renew his own, and others only what reaches no farther than they.

        Raises:
            Forbidden: Its holder may what the caller may not.
        """
        if by.id == f"token:{record.id}":
            return
        granted = granted_to(record.role, self._rights(record.role))
        more = beyond(granted, record.scope, by)
        if more is not None:
            raise Forbidden(f"{by.id} can't renew {record.id}: {more}")

    def _shown_by(self, sha256: str) -> TokenRecord | None:
        """Whose it is; looked for among all once, and remembered."""
        record = self._find(self._by_certificate.get(sha256, ""))
        if record is not None and sha256 in record.certificates:
            return record
        for each in (*self._records.values(), *self._unconfirmed.values()):
            if sha256 in each.certificates:
                self._by_certificate[sha256] = each.id
                return each
        self._by_certificate.pop(sha256, None)
        return None


_REMEDY = f"have another one made: nexa cert issue; or {remedy_for('unknown', None)}"
