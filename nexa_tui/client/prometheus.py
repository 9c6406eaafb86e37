"""What Prometheus' HTTP API answers: https://prometheus.io/docs/prometheus/latest/querying/api/."""

import msgspec

from nexa_node.contract.errors import Invalid, NexaError

Row = tuple[dict[str, str], tuple[tuple[float, float], ...]]
"""A series: its labels, and moments (seconds since 1970) with values, in order."""


class _Series(msgspec.Struct):
    metric: dict[str, str]
    values: list[tuple[float, str]]


class _Data(msgspec.Struct):
    result: list[_Series]


class _Answer(msgspec.Struct):
    data: _Data


class _Refusal(msgspec.Struct):
    error: str


def matrix(content: bytes) -> tuple[Row, ...]:
    """Read the answer to a range query.

    Raises:
        msgspec.DecodeError: It is none.
    """
    told = msgspec.json.decode(content, type=_Answer)
    try:
        return tuple(
            (one.metric, tuple((at, float(value)) for at, value in one.values))
            for one in told.data.result
        )
    except ValueError as error:
        raise msgspec.DecodeError(str(error)) from error


def refusal(content: bytes) -> NexaError | None:
    """Read why a query was refused; None if that is not what was answered."""
    try:
        told = msgspec.json.decode(content, type=_Refusal)
    except msgspec.DecodeError:
        return None
    return Invalid(told.error, remedy="nexa metrics shows what there is")
