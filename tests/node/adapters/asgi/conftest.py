"""A port over a fake node, for tests that need no other."""

from collections.abc import AsyncIterator

import pytest

from tests.node.adapters.asgi.fake_node import Port, opened


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    async with opened() as one:
        yield one
