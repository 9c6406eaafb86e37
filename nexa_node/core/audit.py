"""The audit's chain: each record carries the hash of the one before. Pure.

A chain alone shows an edit, a hole, and a changed order. That its end was cut off, or
that all of it was computed anew, only a checkpoint shows that somebody else keeps. Who
holds a node's signing key can forge what comes later, and nothing that another node has
a checkpoint of.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

import msgspec

from nexa_node.contract.audit import (
    AuditEntry,
    AuditRecord,
    AuditVerdict,
    Checkpoint,
)

VERSION = 1
START = "0" * 64
TEXT_MAX = 500
"""Characters of any text in an entry: they are foreign."""
FIELDS_MAX = 32
BYTES_MAX = 4096
"""Of what was, and of what is, in an entry; of more only plain values are kept."""
SHORT_MAX = 60
"""Characters of a text in what is too large."""
CUT = "[cut]"
_NAMES = frozenset(("id", "name"))
_DOMAIN = b"nexa-audit-v1\0"
_SECRET = ("token", "secret", "password", "key", "authorization", "credential")
HIDDEN = "[hidden]"
_UNPRINTED = re.compile(r"[^\x20-\x7e]")


def chained(chain: str, seq: int, prev: str, entry: AuditEntry) -> AuditRecord:
    """Give an entry its place."""
    record = AuditRecord(
        v=VERSION, chain=chain, seq=seq, entry=entry, prev=prev, hash=""
    )
    return msgspec.structs.replace(record, hash=_hash(record))


def line(record: AuditRecord) -> bytes:
    """Write a record: one line of printable ASCII, whatever is in it."""
    return _canonical(msgspec.to_builtins(record)) + b"\n"


def entry_of(**fields: Any) -> AuditEntry:
    """Make an entry of foreign texts: cut where long, without secrets."""
    cut: dict[str, Any] = {
        name: _text(value) if isinstance(value, str) else value
        for name, value in fields.items()
    }
    for name in ("before", "after"):
        if name in cut:
            cut[name] = redacted(cut[name])
    return AuditEntry(**cut)


def differing(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Leave out of two states of one thing what is the same in both, but its id."""
    same = {
        name
        for name, value in before.items()
        if name in after and after[name] == value and name not in _NAMES
    }
    return (
        {name: value for name, value in before.items() if name not in same},
        {name: value for name, value in after.items() if name not in same},
    )


def redacted(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Hide what is secret by its name, and cut what is long."""
    found = {
        _text(name): HIDDEN if _is_secret(name, value) else _short(value)
        for name, value in list(fields.items())[:FIELDS_MAX]
    }
    if len(_canonical(found)) <= BYTES_MAX:
        return found
    plain = (str, int, float, bool, type(None))
    return {
        name[:SHORT_MAX]: _shorter(value) if isinstance(value, plain) else CUT
        for name, value in found.items()
    }


def _shorter(value: object) -> object:
    return value[:SHORT_MAX] if isinstance(value, str) else value


def _short(value: object) -> Any:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return redacted(cast("Mapping[str, Any]", value))
    if isinstance(value, list | tuple):
        items = cast("list[object]", value)
        return [_short(item) for item in items[:FIELDS_MAX]]
    return value


class Verifier:
    """Reads a chain from a known place onwards and says where it is not whole."""

    def __init__(self, chain: str, *, after: int = 0, prev: str = START) -> None:
        """Begin behind record `after`, whose hash is `prev`."""
        self.chain = chain
        self.records = 0
        self.seq: int = after
        self.head: str = prev
        self.heads: dict[int, str] = {after: prev}
        self._fault: tuple[int, str] | None = None

    @property
    def broken(self) -> bool:
        """Whether something is not as it was written."""
        return self._fault is not None

    def read(self, text: bytes) -> None:
        """Take one line; after the first fault nothing more is looked at."""
        if self._fault is not None:
            return
        wanted = self.seq + 1
        try:
            record = msgspec.json.decode(text, type=AuditRecord)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._fault = (wanted, f"it can't be read: {error}")
            return
        if record.chain != self.chain:
            self._fault = (wanted, f"it is of the chain {record.chain[:80]}")
        elif record.seq != wanted:
            self._fault = (wanted, f"record {record.seq} stands in its place")
        elif record.prev != self.head:
            self._fault = (wanted, "it does not follow from the record before it")
        elif _hash(record) != record.hash:
            self._fault = (wanted, "its text is not what its hash was made of")
        elif line(record).strip() != text.strip():
            self._fault = (wanted, "it is written in another way")
        else:
            self.records += 1
            self.seq, self.head = record.seq, record.hash
            self.heads[record.seq] = record.hash

    def verdict(self, checkpoints: Iterable[Checkpoint]) -> AuditVerdict:
        """Compare with what others keep, and say what was found."""
        compared = 0
        fault = self._fault
        for point in sorted(checkpoints, key=lambda one: one.seq):
            if point.chain != self.chain or point.seq < min(self.heads):
                continue
            compared += 1
            here = self.heads.get(point.seq)
            if here == point.hash or (fault is not None and fault[0] <= point.seq):
                continue
            if here is None:
                reason = f"the end is missing: there were at least {point.seq} records"
                fault = (self.seq + 1, reason)
            else:
                reason = "it was computed anew: others keep another hash of it"
                fault = (self._first_after(checkpoints, point.seq), reason)
            break
        return AuditVerdict(
            status="ok" if fault is None else "broken",
            records=self.records,
            first_bad=None if fault is None else fault[0],
            reason="" if fault is None else fault[1],
            chain="" if fault is None else self.chain,
            checkpoints=compared,
        )

    def _first_after(self, checkpoints: Iterable[Checkpoint], seq: int) -> int:
        """The first record that may be another one: behind the last that is known."""
        good = [
            one.seq
            for one in checkpoints
            if one.seq < seq and self.heads.get(one.seq) == one.hash
        ]
        return max([min(self.heads), *good]) + 1


def signed_part(point: Checkpoint) -> bytes:
    """What a checkpoint's signature is over."""
    told = msgspec.to_builtins(msgspec.structs.replace(point, signature=""))
    return _DOMAIN + b"checkpoint\0" + _canonical(told)


def is_signed(point: Checkpoint) -> bool:
    """Say whether a checkpoint's signature is right."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(point.key))
        key.verify(base64.b64decode(point.signature), signed_part(point))
    except (InvalidSignature, ValueError):
        return False
    return True


def _text(value: str) -> str:
    """As much of a foreign text as is kept; half a surrogate pair is spelt out."""
    cut = value[:TEXT_MAX]
    return cut if cut.isascii() else cut.encode(errors="backslashreplace").decode()


def _hash(record: AuditRecord) -> str:
    told = msgspec.to_builtins(msgspec.structs.replace(record, hash=""))
    text = _DOMAIN + record.prev.encode("ascii", "replace") + _canonical(told)
    return hashlib.sha256(text).hexdigest()


def _canonical(told: Any) -> bytes:
    """One text for one value; escaped, so that no terminal obeys what is in it."""
    text = msgspec.json.encode(told, order="sorted").decode()
    return _UNPRINTED.sub(_escaped, text).encode("ascii")


def _escaped(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be")
    return "".join(
        f"\\u{units[n]:02x}{units[n + 1]:02x}" for n in range(0, len(units), 2)
    )


def _is_secret(name: str, value: object) -> bool:
    """By its name; a number is none: `tokens` may be a budget."""
    if isinstance(value, int | float | None):
        return False
    return any(word in name.lower() for word in _SECRET) and not _is_id(name)


def _is_id(name: str) -> bool:
    return name.endswith(("_id", "id")) or name in {"key_count", "keys", "public_key"}
