"""The shape of one REST operation: what it takes, what it answers, who answers it.

Routes and `/openapi.json` are both made from these, so that an operation that is not
described does not exist.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

import msgspec

from nexa_node.contract.access import Identity
from nexa_node.contract.errors import Invalid, NexaError
from nexa_node.contract.ids import is_slug
from nexa_node.core.access import API_ACTIONS
from nexa_node.services.api import NodeApi

Q = TypeVar("Q")
B = TypeVar("B")

JSON = "application/json"
BYTES = "application/octet-stream"
NDJSON = "application/x-ndjson"
OPEN = "open"
ANY = "any"

_TOKEN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Query(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True,
    forbid_unknown_fields=True,
):  # fmt: skip
    """What may stand after the `?`.

    An unknown key is an error, not ignored: a misspelt filter would list everything, a
    misspelt `dry_run` would be no dry run.
    """


@dataclass(frozen=True, slots=True)
class Call(Generic[Q, B]):
    """One request, read and checked."""

    api: NodeApi
    caller: Identity | None
    """None on the few operations that need no token, when there was none."""
    path: Mapping[str, str]
    query: Q
    body: B
    describe: Callable[[], bytes]
    """Writes the API's description."""
    address: str = ""
    """The caller's, of the socket."""
    accept: str = ""
    idempotency_key: str | None = None
    if_match: str = ""
    if_none_match: str = ""

    @property
    def identity(self) -> Identity:
        """Who asks. Only `open` operations may be asked by nobody."""
        assert self.caller is not None
        return self.caller

    def slug(self, name: str) -> str:
        """The part of the path called `name`, which must be a slug."""
        text = self.path[name]
        if not is_slug(text):
            raise Invalid(
                f"{name} in the path is no id: {text[:80]!r}",
                remedy="ids are lower-case letters, digits, - and _, at most 63",
                details={"field": name},
            )
        return text

    def token_id(self, name: str) -> str:
        """The part of the path called `name`, which must be a token's id."""
        text = self.path[name]
        if not _TOKEN_ID.fullmatch(text):
            raise Invalid(
                f"{name} in the path is no token's id: {text[:80]!r}",
                remedy="nexa token list",
                details={"field": name},
            )
        return text


@dataclass(frozen=True, slots=True)
class Told:
    """A record, with a status or headers of its own."""

    record: msgspec.Struct
    status: int


@dataclass(frozen=True, slots=True)
class Document:
    """Bytes that are no JSON record of ours."""

    content: bytes
    media: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    status: int = 200


@dataclass(frozen=True, slots=True)
class Lines:
    """Records told one a line, as they come."""

    records: AsyncIterator[msgspec.Struct]


@dataclass(frozen=True, slots=True)
class Stream:
    """Bytes, told as they come."""

    size: int | None
    """None while nobody knows: then the answer's end is where the chunks end."""
    chunks: AsyncIterator[bytes]


Returned = msgspec.Struct | Told | Document | Lines | Stream | None
"""None answers with no body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method on one path."""

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    action: str
    """The call of `NodeApi` it stands for, whose permission the node asks for; `open`
    needs no token, `any` needs one of whatever role."""
    tag: str
    summary: str
    description: str = ""
    handler: Callable[[Call[Any, Any]], Awaitable[Returned]] | None
    """None for a WebSocket, which has an endpoint of its own."""
    query: type[Query] = Query
    body: type[msgspec.Struct] | None = None
    body_example: msgspec.Struct | None = None
    form: bool = False
    """The parameters of query and body are read together, each as often as it stands;
    unknown ones are passed on. `query` only describes them."""
    uploads: bool = False
    """The body is bytes of whatever kind: an async iterator, read as it comes."""
    answer: Any = None
    """The type of the record; None for an answer without one."""
    example: Any = None
    status: int = 200
    media: str = JSON
    also: Mapping[int, str] = field(default_factory=dict[int, str])
    """Further statuses that are no errors, and what they mean."""
    streams: Any = None
    """The type of one line, if NDJSON can be asked for."""
    errors: tuple[type[NexaError], ...] = ()
    """Besides those that every operation may answer."""
    idempotent: bool = False
    """Takes `Idempotency-Key` into the store: any node knows it again."""
    dangerous: bool = False
    """Takes `dry_run` and `plan`: its query is a `paging.DryRunQuery`, and
    `services.planning` can say what it would do."""
    conditional: bool = False
    """Takes `If-Match` and `If-None-Match`."""
    etag: bool = False

    @property
    def permission(self) -> str:
        """`resource:verb`, or `open`, or `any`."""
        if self.action in (OPEN, ANY):
            return self.action
        if self.action not in API_ACTIONS:
            raise LookupError(
                f"{self.method} {self.path}: its action {self.action!r} has no permission:"
                " map it to a resource:verb in API_ACTIONS of core/access.py, give that"
                " to roles there, and ask Permissions.allow in services/node.py"
            )
        return API_ACTIONS[self.action]

    @property
    def repeatable(self) -> bool:
        """Whether the node remembers what it answered to an `Idempotency-Key`."""
        changes = self.method != "GET" and not self.permission.endswith(":read")
        plain = not (self.form or self.uploads or self.streams) and self.media == JSON
        return changes and plain and not (self.open or self.idempotent)

    @property
    def open(self) -> bool:
        """Whether it answers without a token."""
        return self.action == OPEN

    @property
    def websocket(self) -> bool:
        """Whether it is an upgrade."""
        return self.handler is None
