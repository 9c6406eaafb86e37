"""Logs: what nodes wrote down for those who run them."""

from datetime import UTC, datetime
from typing import Annotated

import msgspec

from nexa_node.adapters.asgi.operation import Call, Operation, Query
from nexa_node.adapters.asgi.paging import Limit
from nexa_node.contract.logs import LogLevel, LogLine
from nexa_node.contract.rest import PAGE_DEFAULT, Page
from nexa_node.core.log_cursor import CURSOR_MAX
from nexa_node.services.log_api import LogFilter

_TEXT = msgspec.Meta(max_length=200)


class LogQuery(Query, frozen=True, kw_only=True):
    """Which lines to tell."""

    level: (
        Annotated[LogLevel, msgspec.Meta(description="The least that is wanted.")]
        | None
    ) = None
    node: Annotated[str, _TEXT] | None = None
    component: (
        Annotated[str, msgspec.Meta(max_length=200, description="A prefix.")] | None
    ) = None
    text: Annotated[str, _TEXT] | None = None
    after: (
        Annotated[
            str,
            msgspec.Meta(
                max_length=CURSOR_MAX,
                description="`next_cursor` of a page: only what was logged since."
                " Without it, the newest lines.",
            ),
        ]
        | None
    ) = None
    before: (
        Annotated[
            int,
            msgspec.Meta(
                ge=0,
                description="Without `after`: the newest of those before this seq.",
            ),
        ]
        | None
    ) = None
    limit: Limit = PAGE_DEFAULT
    wait_s: Annotated[
        float, msgspec.Meta(ge=0, le=60, description="Wait so long for the first.")
    ] = 0.0


async def list_logs(call: Call[LogQuery, None]) -> Page[LogLine]:
    """Lines, the oldest first."""
    query = call.query
    wanted = LogFilter(
        level=query.level,
        node=query.node,
        component=query.component,
        text=query.text,
        after=query.after,
        before=query.before,
        limit=query.limit,
        wait_s=query.wait_s,
    )
    return await call.api.logs(call.identity, wanted)


LINES = Page(
    items=(
        LogLine(
            seq=1_772_366_400_000_000,
            time=datetime(2026, 3, 1, 12, 0, tzinfo=UTC),
            level="info",
            node="alpha",
            component="nexa",
            event="node_running",
            fields={"url": "http://127.0.0.1:6392", "duration_ms": 812.4},
        ),
    ),
    next_cursor="alpha:1772366400000000",
)

OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/logs",
        action="logs",
        tag="logs",
        summary="Read what nodes logged, the oldest first",
        description="Of all nodes that answer; `node` asks one alone. Each keeps its"
        " newest 10,000 lines for this. `next_cursor` is there on the last page, too, so"
        " that a reader can wait for more.",
        handler=list_logs,
        query=LogQuery,
        answer=Page[LogLine],
        example=LINES,
    ),
)
