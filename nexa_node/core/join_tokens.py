"""Join tokens, and what a node that joins and the one that admits it tell each other.

A token is `nxj1.<hash>.<id>.<secret>`, each part base64url without padding: the SHA-256
of the node authority's certificate (DER), by which the joiner knows whom it talks to
before it says anything; the token's public id with the addresses at which to join; and
256 secret bits. Only the secret's hash is kept. A token is good for one node: once used
it answers nobody but that very node, by its name and its key, and only for a moment,
since an answer may have been lost on its way.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, cast

import msgspec

from nexa_node.contract.errors import Invalid, NexaError, Problem, Unauthorized
from nexa_node.core.addresses import parse_address

PREFIX = "nxj1"
ENTROPY = 40
"""Random bytes that `make` needs: 8 for the id, 32 for the secret."""
ADDRESSES_MAX = 8
EXPIRY_S = 1800
EXPIRY_MAX_S = 24 * 60 * 60
AGAIN_S = 120.0
"""How long the node that used a token may ask once more: its answer may be lost."""
TEXT_MAX = 4096
"""Eight addresses of the longest kind fit."""

_ID_ENTROPY = 8
_HASH = 32
_ID = re.compile(r"[0-9a-f]{16}")
_PART = re.compile(r"[A-Za-z0-9_-]+")
REMEDY = "make a new one on a member: nexa cluster join-token"


class BadToken(Invalid):
    """A text that is no join token; never quotes it, it may hold a secret."""


class Stranger(Unauthorized):
    """Who answers at a token's address is not of the cluster that made it."""


def refused(kind: type[NexaError], message: str, why: str, **more: Any) -> NexaError:
    """Make the error of a refusal; `why` is its one word, for programs and events."""
    more.setdefault("remedy", REMEDY)
    return kind(message, details={"refusal": why}, **more)


def why_refused(error: NexaError) -> str:
    """The one word for a refusal."""
    details = error.details
    if isinstance(details, dict):
        told = cast("dict[str, object]", details).get("refusal")
        if isinstance(told, str):
            return told
    return error.reason


@dataclass(frozen=True, slots=True)
class TokenParts:
    """A join token that is whole; whether anybody knows it is another question."""

    ca_sha256: bytes
    """Of the node authority's certificate, DER."""
    id: str
    addresses: tuple[str, ...]
    """host:port, in the order to try them."""
    secret: str = field(repr=False)

    def text(self) -> str:
        """Write the token. It is a secret: shown once, to who asked for it."""
        told = ",".join((self.id, *self.addresses)).encode()
        return ".".join((PREFIX, _encode(self.ca_sha256), _encode(told), self.secret))


def make(entropy: bytes, *, ca_sha256: bytes, addresses: tuple[str, ...]) -> TokenParts:
    """Make a token of at least `ENTROPY` random bytes.

    Raises:
        ValueError: Too few bytes, or a hash that is none.
        Invalid: An address that is none, no address, or too many.
    """
    if len(entropy) < ENTROPY or len(ca_sha256) != _HASH:
        raise ValueError(f"a token needs {ENTROPY} random bytes and a SHA-256")
    if not 0 < len(addresses) <= ADDRESSES_MAX:
        raise Invalid(f"a join token names 1 to {ADDRESSES_MAX} addresses")
    return TokenParts(
        ca_sha256=ca_sha256,
        id=entropy[:_ID_ENTROPY].hex(),
        addresses=tuple(str(parse_address(each)) for each in addresses),
        secret=_encode(entropy[_ID_ENTROPY:ENTROPY]),
    )


def parse(text: str) -> TokenParts:
    """Take a token apart.

    What it accepts it writes the same again, but for white space around it.

    Raises:
        BadToken: Anything else; says which part is wrong, and nothing of what it holds.
    """
    text = text.strip()
    if len(text) > TEXT_MAX:
        raise BadToken("the join token is too long to be one", remedy=REMEDY)
    parts = text.split(".")
    if parts[0] != PREFIX or len(parts) != 4:
        raise BadToken(
            f"this is no join token: one is {PREFIX}. and three more parts",
            remedy=REMEDY,
        )
    ca_sha256 = _decode(parts[1], "first")
    token_id, *addresses = _decode(parts[2], "second").decode("latin-1").split(",")
    if len(ca_sha256) != _HASH or not _ID.fullmatch(token_id):
        raise _cut("first two parts are")
    if not 0 < len(addresses) <= ADDRESSES_MAX:
        raise _cut("second part is")
    if len(_decode(parts[3], "third")) != _HASH:
        raise _cut("third part is")
    return TokenParts(ca_sha256, token_id, _addresses(addresses), parts[3])


def hash_secret(secret: str) -> str:
    """What is kept of a secret: its SHA-256, hexadecimal."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def is_token_id(text: str) -> bool:
    """Say whether `text` may be a token's public id."""
    return _ID.fullmatch(text) is not None


# -- what is kept ----------------------------------------------------------------


class JoinRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A join token as it is kept: the hash of its secret, never that itself."""

    id: str
    sha256: str
    """Of the secret, hexadecimal."""
    node: str
    """Who issued it, and has the port open."""
    by: str
    """The identity that asked for it."""
    addresses: tuple[str, ...]
    created: datetime
    expires: datetime
    used: datetime | None = None
    used_by: str | None = None
    """The name of the node it admitted."""
    used_key: str | None = None
    """SHA-256 of that node's public key, hexadecimal."""

    def is_open(self, now: datetime) -> bool:
        """Say whether anybody may still come with it."""
        if self.used is not None:
            return _recently(self.used, now)
        return now < self.expires


class JoinTokenView(msgspec.Struct, frozen=True, kw_only=True):
    """A join token as it may be shown."""

    id: str
    node: str
    by: str
    created: datetime
    expires: datetime
    used: datetime | None
    used_by: str | None


def view(record: JoinRecord) -> JoinTokenView:
    """What may be shown of a record."""
    return JoinTokenView(
        id=record.id,
        node=record.node,
        by=record.by,
        created=record.created,
        expires=record.expires,
        used=record.used,
        used_by=record.used_by,
    )


Refusal = Literal["expired", "used"]


def knows(record: JoinRecord | None, secret: str) -> bool:
    """Say whether `secret` is the record's, in a time that tells nothing."""
    kept = record.sha256 if record is not None else "0" * 64
    same = hmac.compare_digest(hash_secret(secret).encode(), kept.encode())
    return same and record is not None


def over(record: JoinRecord, *, name: str, key: str, now: datetime) -> Refusal | None:
    """Say why a known token admits nobody of that name and key; None if it does."""
    if record.used is None:
        return None if now < record.expires else "expired"
    same = record.used_by == name and record.used_key == key
    return None if same and _recently(record.used, now) else "used"


# -- what is said ----------------------------------------------------------------

Short = Annotated[str, msgspec.Meta(max_length=300)]
Pem = Annotated[str, msgspec.Meta(max_length=16 * 1024)]


class Greeting(msgspec.Struct, frozen=True, kw_only=True):
    """What the admitting side says first, to anybody: its authorities' certificates."""

    authorities: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=4)]
    """DER."""
    v: int = 1


class JoinRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What the joiner says, once it knows whom it talks to."""

    token: Short
    """The token's public id."""
    secret: Short
    name: Short
    id: Short
    """The node's own."""
    route: Short
    """host:port where other stores will reach its own."""
    url: Short
    version: Short
    csr: Pem
    """Only its public key counts."""
    v: int = 1

    def __repr__(self) -> str:
        """Tell who asks, never by what secret."""
        return f"JoinRequest(token={self.token!r}, name={self.name!r})"


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """All that a node needs to be a member: what goes into `tls/` and `cluster.json`."""

    cluster: str
    cluster_id: str
    name: str
    by: str
    """The node that admitted it."""
    routes: tuple[str, ...]
    """host:port of each member's store, the admitting one's first."""
    route_password: str
    certificate: str
    node_ca: str
    """PEM, the issuing authority first; more than one while authorities change."""
    node_ca_key: str
    client_ca: str
    client_ca_key: str
    pins: tuple[str, ...] = ()
    """Of all members' certificates, the joiner's included; empty: not all are known."""

    def __repr__(self) -> str:
        """Tell of what, never by what keys."""
        return f"Admitted(cluster={self.cluster!r}, name={self.name!r}, by={self.by!r})"


class JoinAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the admitting side answers: one of the two."""

    admitted: Admitted | None = None
    problem: Problem | None = None


# -- guessing --------------------------------------------------------------------


class Guesses:
    """Wrong secrets of the last minute, by address and token. Bounded in memory."""

    PER_MINUTE = 5
    WINDOW_S = 60.0
    KEYS_MAX = 10_000
    """The pairs longest quiet are forgotten first."""

    def __init__(self) -> None:
        """Know of none."""
        self._seen: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def wait_s(self, address: str, token: str, *, now: float) -> float:
        """How long nothing is looked at that comes from `address` with `token`.

        Args:
            address: Whose.
            token: A token's public id; anything else counts as one.
            now: Monotonic seconds.
        """
        times = self._seen.get((address, _key(token)))
        if times is None or len(times) < self.PER_MINUTE:
            return 0.0
        return max(0.0, times[0] + self.WINDOW_S - now)

    def failed(self, address: str, token: str, *, now: float) -> None:
        """Count a wrong one."""
        key = (address, _key(token))
        times = self._seen.setdefault(key, deque(maxlen=self.PER_MINUTE))
        self._seen.move_to_end(key)
        times.append(now)
        while len(self._seen) > self.KEYS_MAX:
            self._seen.popitem(last=False)


def _key(token: str) -> str:
    return token if is_token_id(token) else ""


def _recently(used: datetime, now: datetime) -> bool:
    return now - used < timedelta(seconds=AGAIN_S)


def _addresses(told: list[str]) -> tuple[str, ...]:
    try:
        addresses = tuple(str(parse_address(each)) for each in told)
    except Invalid:
        raise _cut("second part is") from None
    if list(addresses) != told:
        raise _cut("second part is")
    return addresses


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(part: str, which: str) -> bytes:
    if not _PART.fullmatch(part):
        raise _cut(f"{which} part is")
    try:
        data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (binascii.Error, ValueError):
        raise _cut(f"{which} part is") from None
    if _encode(data) != part:
        raise _cut(f"{which} part is")
    return data


def _cut(what: str) -> BadToken:
    return BadToken(
        f"the join token is cut off or mistyped: its {what} not what one holds",
        remedy=f"copy it whole, on one line; or {REMEDY}",
    )
