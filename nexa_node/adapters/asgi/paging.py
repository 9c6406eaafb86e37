"""What many operations may be asked with: a page of a list, a dry run."""

from collections.abc import Callable, Iterable
from typing import Annotated, TypeVar

import msgspec

from nexa_node.adapters.asgi.operation import Query
from nexa_node.contract.rest import PAGE_DEFAULT, PAGE_MAX, Page

T = TypeVar("T")

Limit = Annotated[
    int, msgspec.Meta(ge=1, le=PAGE_MAX, description="The most items of one page.")
]
Cursor = Annotated[
    str,
    msgspec.Meta(
        max_length=500, description="The `next_cursor` of the page before this one."
    ),
]


class PageQuery(Query, frozen=True, kw_only=True):
    """Which page of a list."""

    limit: Limit = PAGE_DEFAULT
    cursor: Cursor | None = None


class DryRunQuery(Query, frozen=True, kw_only=True):
    """Whether to do it."""

    dry_run: Annotated[
        bool, msgspec.Meta(description="Say what would be done, and do nothing.")
    ] = False
    plan: (
        Annotated[
            str,
            msgspec.Meta(
                max_length=100,
                description="The id that a dry run told: done only if all is still so.",
            ),
        ]
        | None
    ) = None


def page_of(
    items: Iterable[T], query: PageQuery, *, key: Callable[[T], str]
) -> Page[T]:
    """Cut the page that `query` asks for, ordered by `key`.

    The cursor is the last key that was told, so an item that comes or goes between two
    pages is neither told twice nor hides another.
    """
    start = query.cursor or ""
    rest = sorted((item for item in items if key(item) > start), key=key)
    told = tuple(rest[: query.limit])
    return Page(
        items=told, next_cursor=key(told[-1]) if len(rest) > query.limit else None
    )
