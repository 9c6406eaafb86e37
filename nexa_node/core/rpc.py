"""JSON-RPC 2.0 as it is read: bytes in, calls, replies and mistakes out. Pure.

A batch is read element by element, so one bad element spoils nothing else. Parameters
come out as the Struct of their method, checked; an id that can be read is kept.
"""

from dataclasses import dataclass
from typing import Any, cast

import msgspec

from nexa_node.contract import errors
from nexa_node.contract.errors import (
    ErrorData,
    ErrorObject,
    NexaError,
    error_object,
)
from nexa_node.contract.frames import (
    BATCH_LIMIT,
    METHODS,
    Envelope,
    Failure,
    RequestId,
)
from nexa_node.core import intake
from nexa_node.core.codec import Codec, Malformed


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request or a notification."""

    id: RequestId | None
    wants_answer: bool
    method: str
    params: Any
    """The method's own Struct; None with an error."""
    error: ErrorObject | None
    """What is wrong with it."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to a request of ours."""

    id: RequestId | None
    result: msgspec.Raw
    error: ErrorObject | None


@dataclass(frozen=True, slots=True)
class Mistake:
    """A frame that is no JSON-RPC."""

    id: RequestId | None
    error: ErrorObject


Item = Incoming | Reply | Mistake


@dataclass(frozen=True, slots=True)
class Frame:
    """What one frame held."""

    items: tuple[Item, ...]
    is_batch: bool = False


class _Salvage(msgspec.Struct):
    """What may be read of a frame that is none."""

    id: Any = None
    method: Any = None
    error: Any = None


def read(codec: Codec, data: bytes, *, data_bytes: int) -> Frame:
    """Take a frame apart; never raises.

    Args:
        codec: The encoding.
        data: One frame.
        data_bytes: The most one call's payload may take.
    """
    try:
        codec.open(data)
        if not codec.is_batch(data):
            return Frame((_read_item(codec, data, data_bytes),))
        parts = codec.split(data)
    except Malformed as error:
        wrong = protocol_error(errors.PARSE_ERROR, "parse_error", str(error))
        return Frame((Mistake(None, wrong),))
    if not 0 < len(parts) <= BATCH_LIMIT:
        why = f"a batch of {len(parts)}; 1 to {BATCH_LIMIT} are allowed"
        return Frame((Mistake(None, _invalid(why)),))
    items = tuple(_read_item(codec, part, data_bytes) for part in parts)
    return Frame(items, is_batch=True)


def protocol_error(code: int, reason: str, why: str) -> ErrorObject:
    """Make one of JSON-RPC's own errors."""
    return ErrorObject(
        code=code, message=why, data=ErrorData(reason=reason, retryable=False)
    )


def failure(known: RequestId | None, code: int, reason: str, why: str) -> Failure:
    """Make the answer that carries one of JSON-RPC's own errors."""
    return Failure(id=known, error=protocol_error(code, reason, why))


def _read_item(codec: Codec, data: bytes | msgspec.Raw, data_bytes: int) -> Item:
    try:
        envelope = codec.envelope(data)
    except msgspec.ValidationError as error:
        return _salvaged(codec, data, str(error))
    known = None if envelope.id is msgspec.UNSET else envelope.id
    if envelope.jsonrpc != "2.0":
        return Mistake(known, _invalid('jsonrpc is not "2.0"'))
    if envelope.method is not None:
        return _call(codec, envelope, len(memoryview(data)), data_bytes)
    if envelope.error is not None or len(memoryview(envelope.result)) > 0:
        return Reply(known, envelope.result, envelope.error)
    return Mistake(known, _invalid("a frame has a method, a result or an error"))


def _salvaged(codec: Codec, data: bytes | msgspec.Raw, why: str) -> Item:
    """Find out whose answer it was, or whom to answer."""
    try:
        salvage: _Salvage = codec.read(data, _Salvage)
    except msgspec.ValidationError:
        return Mistake(None, _invalid(why))
    told = salvage.id
    known = (
        told if isinstance(told, (int, str)) and not isinstance(told, bool) else None
    )
    if salvage.method is None and salvage.error is not None and known is not None:
        return Reply(known, msgspec.Raw(), _nearest_error(salvage.error))
    return Mistake(known, _invalid(why))


def _nearest_error(told: Any) -> ErrorObject:
    """Make the best of an error that is none: it is still an answer."""
    nearest = ErrorObject(code=errors.INTERNAL_ERROR, message="no valid error")
    if not isinstance(told, dict):
        return nearest
    members = cast("dict[str, object]", told)
    code, message = members.get("code"), members.get("message")
    return ErrorObject(
        code=code if isinstance(code, int) else nearest.code,
        message=message if isinstance(message, str) else nearest.message,
    )


def _call(codec: Codec, envelope: Envelope, size: int, data_bytes: int) -> Incoming:
    method = envelope.method or ""
    known = None if envelope.id is msgspec.UNSET else envelope.id
    wants_answer = envelope.id is not msgspec.UNSET
    params, error = _read_params(codec, method, envelope.params)
    if error is None:
        error = _objection(params, codec.kept(size), data_bytes)
    return Incoming(known, wants_answer, method, params, error)


def _read_params(
    codec: Codec, method: str, params: msgspec.Raw
) -> tuple[Any, ErrorObject | None]:
    known = METHODS.get(method)
    if known is None:
        why = f"unknown method {method[:64]!a}"
        return None, protocol_error(errors.METHOD_NOT_FOUND, "method_not_found", why)
    try:
        return codec.read(params, known[0]), None
    except msgspec.ValidationError as error:
        why = f"{method}: {error}"
        return None, protocol_error(errors.INVALID_PARAMS, "invalid_params", why)


def _objection(params: Any, most: int, data_bytes: int) -> ErrorObject | None:
    """Look at the values; a payload is measured only if it might be too large.

    Args:
        params: The method's own Struct.
        most: Bytes of JSON that the whole call may become: what the store keeps.
        data_bytes: The most a payload may be.
    """
    try:
        intake.check(params)
        name = intake.payload_of(params)
        if name is not None and most > data_bytes:
            intake.check_size(name, getattr(params, name), data_bytes)
    except NexaError as error:
        return error_object(error)
    return None


def _invalid(why: str) -> ErrorObject:
    return protocol_error(errors.INVALID_REQUEST, "invalid_request", why)
