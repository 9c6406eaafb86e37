"""Leases: `ports.LeaseTable` in the bucket `nx_leases`.

Each record carries its own time to live in a header, so the store ends it. It is written
by compare-and-set on the key's newest message, whatever that is: after an expiry there
may be nothing or a marker, after a release there is one.

A write whose answer was lost may have been made. The record names its writer by a tag
drawn at random, so we know our own again and go on from there.
"""

import secrets

import msgspec

from nexa_node.adapters.nats import topology, wire
from nexa_node.adapters.nats.connection import Connection, WrongSequence
from nexa_node.contract.errors import Conflict, Unavailable
from nexa_node.ports import Lease

BUCKET = "nx_leases"
TRIES = 8


class Tenure(msgspec.Struct, frozen=True, kw_only=True):
    """A lease as it is stored."""

    holder: str
    tag: str
    """Of the process that wrote it."""
    token: int = 0
    """The revision of the acquisition; 0: this record's own."""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Tenure)


class NatsLeases:
    """`ports.LeaseTable`; one for each process."""

    def __init__(self, connection: Connection) -> None:
        """Use `connection`."""
        self._connection = connection
        self._stream = topology.bucket_stream(BUCKET)
        self._prefix = topology.bucket_prefix(BUCKET)
        self._tag = secrets.token_hex(8)

    async def acquire(self, name: str, holder: str, *, ttl_s: int) -> Lease | None:
        """Take a lease that nobody has; None if somebody has it.

        One that an earlier call of this process got without hearing of it is taken
        anew, with a new token.
        """
        wanted = Tenure(holder=holder, tag=self._tag)
        for _ in range(TRIES):
            stored, tenure = await self._read(name)
            if tenure is not None and tenure.tag != self._tag:
                return None
            seq = await self._swap(name, wanted, stored, ttl_s)
            if seq is not None:
                return Lease(name, holder, token=seq, revision=seq)
        raise Unavailable(f"the lease {name} changes too fast to be taken: try again")

    async def renew(self, lease: Lease, *, ttl_s: int) -> Lease:
        """Have it for `ttl_s` more from now.

        Raises:
            Conflict: It is over, or somebody else's: stop at once.
        """
        wanted = Tenure(holder=lease.holder, tag=self._tag, token=lease.token)
        revision = lease.revision
        for _ in range(TRIES):
            seq = await self._swap(lease.name, wanted, revision, ttl_s)
            if seq is not None:
                return Lease(lease.name, lease.holder, lease.token, revision=seq)
            revision = await self._still_ours(lease)
        raise Unavailable(f"the lease {lease.name} changes too fast to be renewed")

    async def release(self, lease: Lease) -> None:
        """Give it back; no error if it is over."""
        revision = lease.revision
        headers = {wire.OPERATION: "PURGE", wire.ROLLUP: "sub"}
        for _ in range(TRIES):
            seq = await self._write(lease.name, b"", revision, headers)
            if seq is not None:
                return
            try:
                revision = await self._still_ours(lease)
            except Conflict:
                return
        raise Unavailable(f"the lease {lease.name} changes too fast to be given back")

    async def holder(self, name: str) -> Lease | None:
        """Who has it now, as far as the store's leader knows."""
        stored, tenure = await self._read(name)
        if tenure is None:
            return None
        return Lease(name, tenure.holder, tenure.token or stored, revision=stored)

    async def _still_ours(self, lease: Lease) -> int:
        """Where the record of this very tenure is by now; Conflict if it is no more."""
        stored, tenure = await self._read(lease.name)
        if tenure is None:
            raise Conflict(f"the lease {lease.name} is over")
        if tenure.tag != self._tag or (tenure.token or stored) != lease.token:
            raise Conflict(
                f"the lease {lease.name} is {tenure.holder}'s by now",
                details={"holder": tenure.holder},
            )
        return stored

    async def _read(self, name: str) -> tuple[int, Tenure | None]:
        """Its newest message's position, and what it says; 0 if there is none."""
        stored = await self._connection.last(self._stream, self._subject(name))
        if stored is None:
            return 0, None
        if wire.is_marker(stored.headers):
            return stored.seq, None
        try:
            return stored.seq, _decoder.decode(stored.data)
        except msgspec.DecodeError as error:
            raise Unavailable(
                f"the lease {name} can't be read: {error}",
                remedy="was it written by a newer nexa? update this node",
            ) from error

    async def _swap(
        self, name: str, tenure: Tenure, expected: int, ttl_s: int
    ) -> int | None:
        headers = {wire.TTL: str(max(1, ttl_s))}
        return await self._write(name, _encoder.encode(tenure), expected, headers)

    async def _write(
        self, name: str, payload: bytes, expected: int, headers: dict[str, str]
    ) -> int | None:
        """Store if the newest message is still at `expected`; None if it is not."""
        try:
            ack = await self._connection.store(
                self._subject(name),
                payload,
                message_id=secrets.token_hex(12),
                headers={wire.EXPECTED_LAST: str(expected), **headers},
            )
        except WrongSequence:
            return None
        return ack.seq

    def _subject(self, name: str) -> str:
        return self._prefix + topology.subject("", name)[1:]
