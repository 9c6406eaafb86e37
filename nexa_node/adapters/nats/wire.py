"""JetStream's own words, as far as we use them.

Requests go out as these, answers come back as these; unknown members are ignored.
Times are in nanoseconds here and nowhere else.
"""

import base64
from typing import Any, TypeVar

import msgspec

SECOND = 10**9

MSG_ID = "Nats-Msg-Id"
EXPECTED_LAST = "Nats-Expected-Last-Subject-Sequence"
TTL = "Nats-TTL"
ROLLUP = "Nats-Rollup"
OPERATION = "KV-Operation"
MARKER_REASON = "Nats-Marker-Reason"
SUBJECT, SEQUENCE = "Nats-Subject", "Nats-Sequence"
"""Of a message that was read directly."""

WRONG_LAST_SEQUENCE = frozenset((10071, 10164))
IN_PROCESS = 10158
"""The same message id is being stored this moment: ask again."""
NOT_FOUND = "404"
"""The status that answers a direct read of what is not there."""
NO_MESSAGE = frozenset((10037, 10057, 10043))
STREAM_NOT_FOUND = 10059
BUSY = 503
"""The code of refusals that are over soon: there is no leader this moment."""
BATCH_NOT_STORED = frozenset((10158, 10174, 10176, 10199, 10201, 10210))
"""Refusals of a batch that leave no doubt: none of it was stored."""
STORE_FULL = frozenset((10023, 10047, 10077, 10122))
TOO_LARGE = 10054


class ApiError(msgspec.Struct, frozen=True):
    """Why JetStream refused."""

    code: int = 0
    err_code: int = 0
    description: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What every answer may carry."""

    error: ApiError | None = None


A = TypeVar("A", bound=Answer)
_decoders: dict[type, "msgspec.json.Decoder[Any]"] = {}


def read(data: bytes, kind: type[A]) -> A:
    """Read an answer.

    Raises:
        msgspec.DecodeError: It is something else.
    """
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind)
    return decoder.decode(data)


def batch_block(name: str, number: int, *, commit: bool) -> bytes:
    """Write the headers that make a message the `number`th of an atomic batch."""
    end = "Nats-Batch-Commit: 1\r\n" if commit else ""
    return f"Nats-Batch-Id: {name}\r\nNats-Batch-Sequence: {number}\r\n{end}".encode()


class PubAck(Answer, frozen=True, kw_only=True):
    """A message is stored."""

    stream: str = ""
    seq: int = 0
    duplicate: bool = False
    count: int = 0
    """Messages of the batch that it ends."""


class StreamConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How a stream is kept. Every field is sent, so that nothing depends on defaults."""

    name: str
    subjects: tuple[str, ...]
    retention: str = "limits"
    storage: str = "file"
    num_replicas: int = 1
    discard: str = "old"
    max_msgs: int = -1
    max_msgs_per_subject: int = -1
    max_bytes: int = -1
    max_age: int = 0
    duplicate_window: int = 120 * SECOND
    allow_direct: bool = False
    allow_msg_ttl: bool = False
    allow_atomic: bool = False
    allow_rollup_hdrs: bool = False
    deny_delete: bool = False
    subject_delete_marker_ttl: int = 0
    """A message that is over leaves a marker for so long, so that watchers hear of it."""
    metadata: dict[str, str] = {}


class StreamState(msgspec.Struct, frozen=True, kw_only=True):
    """How far a stream has come."""

    messages: int = 0
    first_seq: int = 0
    last_seq: int = 0
    subjects: dict[str, int] | None = None
    """Messages by subject, if they were asked for."""


class StreamInfo(Answer, frozen=True, kw_only=True):
    """One stream."""

    config: StreamConfig | None = None
    state: StreamState = StreamState()
    created: str = ""


class StreamList(Answer, frozen=True, kw_only=True):
    """A page of streams."""

    total: int = 0
    streams: tuple[StreamInfo, ...] | None = None
    missing: tuple[str, ...] | None = None
    """Of a cluster: whose leader did not answer."""
    offline: dict[str, str] | None = None


class ConsumerConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a stream is read."""

    name: str
    ack_policy: str
    durable_name: str = ""
    filter_subject: str = ""
    deliver_policy: str = "all"
    opt_start_seq: int = 0
    opt_start_time: str = ""
    ack_wait: int = 0
    max_deliver: int = 0
    max_ack_pending: int = 0
    inactive_threshold: int = 0
    mem_storage: bool = False


class NewConsumer(msgspec.Struct, frozen=True, kw_only=True):
    """Make a consumer."""

    stream_name: str
    config: ConsumerConfig


class ConsumerInfo(Answer, frozen=True, kw_only=True):
    """One consumer."""

    name: str = ""
    num_pending: int = 0
    num_ack_pending: int = 0


class Offset(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for a page of a list."""

    offset: int


class ConsumerNames(Answer, frozen=True, kw_only=True):
    """A page of consumers' names."""

    total: int = 0
    consumers: tuple[str, ...] | None = None


class Pull(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Ask a consumer for messages."""

    batch: int
    no_wait: bool = False
    expires: int = 0
    idle_heartbeat: int = 0
    max_bytes: int = 0


class AskInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for a stream's state, with the messages of some subjects counted."""

    subjects_filter: str


class GetMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Ask for one stored message, or directly for several."""

    seq: int = 0
    last_by_subj: str = ""
    next_by_subj: str = ""
    batch: int = 0
    max_bytes: int = 0
    start_time: str = ""


class DeleteMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Remove one message."""

    seq: int
    no_erase: bool = True


class Purge(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Remove the messages of a subject, before `seq`."""

    filter: str
    seq: int = 0


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A stored message; headers and payload in base64."""

    subject: str = ""
    seq: int = 0
    hdrs: str = ""
    data: str = ""

    def payload(self) -> bytes:
        """The message itself."""
        return base64.b64decode(self.data)

    def headers(self) -> dict[str, str]:
        """Its headers."""
        lines = base64.b64decode(self.hdrs).decode("utf-8", "replace").split("\r\n")
        pairs = (line.partition(":") for line in lines[1:] if line)
        return {name.strip(): value.strip() for name, _, value in pairs}


class Got(Answer, frozen=True, kw_only=True):
    """The answer to `GetMessage`."""

    message: Stored | None = None


class Entry(msgspec.Struct, frozen=True):
    """One stored message, as it was delivered or read."""

    subject: str
    seq: int
    data: bytes
    headers: dict[str, str]


def is_marker(headers: dict[str, str]) -> bool:
    """Say whether a KV entry stands for a removed one.

    A deletion writes `KV-Operation`, an expiry `Nats-Marker-Reason`.
    """
    return MARKER_REASON in headers or headers.get(OPERATION, "PUT") != "PUT"
