"""Bodies of the REST API that are nobody's record."""

from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")

PAGE_DEFAULT = 100
PAGE_MAX = 1000


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One page of a list."""

    items: tuple[T, ...]
    next_cursor: str | None = None
    """Give it back as `cursor` for the next page; None on the last one."""


class Liveness(msgspec.Struct, frozen=True, kw_only=True):
    """GET /healthz: the process answers. Says nothing of what it can do."""

    status: str
    service: str = "nexa"
    """By which another nexa knows who holds the port."""
