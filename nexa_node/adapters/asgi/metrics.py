"""`/metrics` for Prometheus, its HTTP API over all nodes, and where it finds them."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from nexa_node.adapters.asgi import examples
from nexa_node.adapters.asgi.operation import (
    JSON,
    Call,
    Document,
    Operation,
    Query,
)
from nexa_node.contract.errors import PayloadTooLarge
from nexa_node.contract.metrics import Target
from nexa_node.core.exposition import CONTENT_TYPE
from nexa_node.services.api import PrometheusCall

Handler = Callable[[Call[Any, Any]], Awaitable[Document]]


class InstantQuery(Query, frozen=True, kw_only=True):
    """`query`."""

    query: str
    time: str | None = None
    """RFC 3339, or seconds since 1970; now without it."""
    timeout: str | None = None


class RangeQuery(Query, frozen=True, kw_only=True):
    """`query_range`."""

    query: str
    start: str
    end: str
    step: str
    """A duration such as 30s, or seconds."""
    timeout: str | None = None


class SeriesQuery(Query, frozen=True, kw_only=True):
    """`series`, `labels`, `label/…/values`."""

    match: str | None = msgspec.field(default=None, name="match[]")
    """A selector; may stand several times."""
    start: str | None = None
    end: str | None = None


class MetadataQuery(Query, frozen=True, kw_only=True):
    """`metadata`."""

    metric: str | None = None
    limit: str | None = None


class RulesQuery(Query, frozen=True, kw_only=True):
    """`rules`."""

    type: str | None = None
    """`alert` or `record`; both without it."""


async def get_metrics(call: Call[Query, None]) -> Document:
    """All families."""
    return Document(call.api.metrics(call.identity), CONTENT_TYPE)


async def get_targets(call: Call[Query, None]) -> Document:
    """All nodes; Prometheus wants a bare list."""
    return Document(msgspec.json.encode(call.api.targets(call.identity)), JSON)


def _handler(name: str, what: Any) -> Handler:
    async def handle(call: Call[Any, Any]) -> Document:
        asked = PrometheusCall(what, call.body, call.path.get("name", ""))
        told = await call.api.prometheus(call.identity, asked)
        return Document(told.content, JSON, status=told.status)

    handle.__name__ = name
    return handle


_ERRORS = {
    400: "`bad_data`: a parameter is wrong, or no expression",
    422: "`execution`: the expression can't be computed",
    503: "`timeout` or `unavailable`: it took too long, or too many wait already",
}
_TABLE: tuple[tuple[str, Any, type[Query], str, bool], ...] = (
    ("query", "query", InstantQuery, "Compute an expression at one moment", True),
    ("query_range", "query_range", RangeQuery, "Compute it over time", True),
    ("series", "series", SeriesQuery, "List series that meet a selector", True),
    ("labels", "labels", SeriesQuery, "List the names of labels", True),
    ("label/{name}/values", "values", SeriesQuery, "List a label's values", False),
    ("metadata", "metadata", MetadataQuery, "Tell kinds and help of metrics", False),
    ("rules", "rules", RulesQuery, "List rules", False),
    ("alerts", "alerts", Query, "List alerts that are pending or fire", False),
    ("status/buildinfo", "buildinfo", Query, "Say whose answers these are like", False),
)


def _operations() -> tuple[Operation, ...]:
    return tuple(
        Operation(
            method="POST" if post else "GET",
            path=f"/api/v1/{path}",
            action="prometheus",
            tag="metrics",
            summary=f"{summary}{' (form)' if post else ''}",
            description="Prometheus' own API, over all nodes; see docs/metrics.md."
            " Unknown parameters are ignored, as there.",
            handler=_handler(f"{'post' if post else 'get'}_prometheus_{what}", what),
            query=query,
            form=True,
            answer=dict[str, Any],
            example=examples.PROMETHEUS,
            also=_ERRORS,
            errors=(PayloadTooLarge,) if post else (),
        )
        for path, what, query, summary, by_form in _TABLE
        for post in ((False, True) if by_form else (False,))
    )


OPERATIONS = (
    Operation(
        method="GET",
        path="/metrics",
        action="metrics",
        tag="metrics",
        summary="Tell all metrics in Prometheus' text format",
        handler=get_metrics,
        answer=str,
        example=examples.METRICS.decode(),
        media=CONTENT_TYPE,
    ),
    Operation(
        method="GET",
        path="/v1/prometheus/targets",
        action="targets",
        tag="metrics",
        summary="Tell where all nodes' metrics are (HTTP service discovery)",
        handler=get_targets,
        answer=tuple[Target, ...],
        example=(examples.TARGET,),
    ),
    *_operations(),
)
