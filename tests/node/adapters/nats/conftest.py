"""A store of its own for each test that asks for one: it starts in 50 ms."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nexa_node.adapters.nats.store import NatsStore
from tests.node.adapters.nats.tools import opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "alpha"


@pytest.fixture
def changes() -> list[str]:
    return []


@pytest.fixture
async def store(folder: Path, changes: list[str]) -> AsyncIterator[NatsStore]:
    async with opened(folder, on_change=changes.append) as store:
        yield store
