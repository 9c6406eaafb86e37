"""Frames as bytes: JSON-RPC in JSON or msgpack, one codec for each subprotocol."""

from typing import TypeVar

import msgspec

from nexa_node.contract.errors import Invalid
from nexa_node.contract.frames import BATCH_LIMIT, Envelope, Outgoing
from nexa_node.contract.version import JSON_SUBPROTOCOL, MSGPACK_SUBPROTOCOL

T = TypeVar("T")


class Codec:
    """Turns frames into bytes and back."""

    subprotocol: str
    text: bool
    """Whether the frames are text frames."""

    def encode(self, frame: Outgoing) -> bytes:
        """Encode one frame.

        Raises:
            Invalid: It holds something that the encoding can not.
        """
        try:
            return self._encode(frame)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise Invalid(f"cannot be sent: {error}") from None

    def envelopes(self, data: bytes) -> list[Envelope]:
        """Decode one frame or a batch of them, bodies left raw.

        Raises:
            Invalid: It is no frame, or too large a batch.
        """
        if not self._is_batch(data):
            return [self._read(data, Envelope)]
        frames = self._read(data, list[Envelope])
        if len(frames) > BATCH_LIMIT:
            raise Invalid(f"a batch of {len(frames)}; {BATCH_LIMIT} are allowed")
        return frames

    def body(self, raw: msgspec.Raw, kind: type[T]) -> T:
        """Decode the parameters or the result of a frame.

        Raises:
            Invalid: It is no `kind`.
        """
        return self._read(bytes(raw) or self._empty, kind)

    _empty: bytes

    def _read(self, data: bytes, kind: type[T]) -> T:
        try:
            return self._decode(data, kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Invalid(f"cannot be read: {error}") from None

    def _encode(self, frame: Outgoing) -> bytes:
        raise NotImplementedError

    def _decode(self, data: bytes, kind: type[T]) -> T:
        raise NotImplementedError

    def _is_batch(self, data: bytes) -> bool:
        raise NotImplementedError


class JsonCodec(Codec):
    """Text frames."""

    subprotocol = JSON_SUBPROTOCOL
    text = True
    _empty = b"{}"

    def _encode(self, frame: Outgoing) -> bytes:
        return msgspec.json.encode(frame)

    def _decode(self, data: bytes, kind: type[T]) -> T:
        return msgspec.json.decode(data, type=kind)

    def _is_batch(self, data: bytes) -> bool:
        return data.lstrip()[:1] == b"["


class MsgpackCodec(Codec):
    """Binary frames of the same schema."""

    subprotocol = MSGPACK_SUBPROTOCOL
    text = False
    _empty = b"\x80"

    def _encode(self, frame: Outgoing) -> bytes:
        return msgspec.msgpack.encode(frame)

    def _decode(self, data: bytes, kind: type[T]) -> T:
        return msgspec.msgpack.decode(data, type=kind)

    def _is_batch(self, data: bytes) -> bool:
        first = data[:1]
        return b"\x90" <= first <= b"\x9f" or first in {b"\xdc", b"\xdd"}


CODECS: dict[str, Codec] = {
    codec.subprotocol: codec for codec in (JsonCodec(), MsgpackCodec())
}
