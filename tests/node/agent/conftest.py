"""A stand-in node, and agents that wait less long than they would in earnest."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from nexa_node.agent import Agent, Timing
from tests.node.agent.standin import StandIn

FAST = Timing(
    backoff_base=0.02,
    backoff_cap=0.1,
    open_timeout=2.0,
    call_timeout=1.0,
    report_every=5.0,
    report_soon=0.02,
    settle_patience=1.0,
    cancel_patience=1.0,
    close_timeout=0.5,
)


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NEXA_URL", "NEXA_TOKEN", "NEXA_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def node() -> AsyncIterator[StandIn]:
    async with StandIn() as standin:
        yield standin


@pytest.fixture
def make_agent(node: StandIn) -> Callable[..., Agent]:
    def make(id: str = "a1", **options: Any) -> Agent:
        settings: dict[str, Any] = {"url": node.url, "timing": FAST, "grace": 2.0}
        return Agent(id, **(settings | options))

    return make
