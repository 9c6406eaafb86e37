"""Budgets: periods of the calendar, shares of nodes, and what is left."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from nexa_node.contract.quotas import Allowance, Period, Spent
from nexa_node.core import budgets
from nexa_node.core.budgets import AGENTS_MAX, Share

NOW = datetime(2026, 3, 31, 23, 59, 30, tzinfo=UTC)
PERIODS: tuple[Period, ...] = ("hour", "day", "month")


def share(node: str = "alpha", period: Period = "day", **spent: float) -> Share:
    return Share(
        node=node,
        namespace="a",
        period=period,
        begins=budgets.begins(period, NOW),
        total=Spent(**spent),  # pyright: ignore[reportArgumentType]  # tokens are whole
    )


@pytest.mark.parametrize(
    ("period", "begins", "resets"),
    [
        ("hour", "2026-03-31T23:00", "2026-04-01T00:00"),
        ("day", "2026-03-31T00:00", "2026-04-01T00:00"),
        ("month", "2026-03-01T00:00", "2026-04-01T00:00"),
    ],
)
def test_periods_are_of_the_calendar(period: Period, begins: str, resets: str) -> None:
    assert f"{budgets.begins(period, NOW):%Y-%m-%dT%H:%M}" == begins
    assert f"{budgets.resets(period, NOW):%Y-%m-%dT%H:%M}" == resets


@given(
    now=st.integers(1_600_000_000, 3_600_000_000),
    period=st.sampled_from(PERIODS),
)
def test_every_moment_is_in_one_period(now: int, period: Period) -> None:
    at = datetime.fromtimestamp(now, UTC)
    start, end = budgets.begins(period, at), budgets.resets(period, at)

    assert start <= at < end
    assert budgets.begins(period, end - timedelta(microseconds=1)) == start
    assert budgets.begins(period, end) == end


@given(
    uses=st.lists(
        st.tuples(
            st.sampled_from(["alpha", "beta", "gamma"]),
            st.sampled_from(["x", "y"]),
            st.integers(0, 1000),
        )
    ),
    limit=st.integers(0, 5000),
)
def test_the_sum_of_all_nodes_is_what_was_spent(
    uses: list[tuple[str, str, int]], limit: int
) -> None:
    shares = {node: share(node) for node in ("alpha", "beta", "gamma")}
    for node, agent, tokens in uses:
        shares[node] = shares[node].plus(agent, Spent(tokens=tokens))
    allowance = Allowance(tokens=limit, agent_tokens=limit)
    view = budgets.view(allowance, shares.values(), NOW)
    total = sum(tokens for _, _, tokens in uses)
    by = {who: sum(t for _, a, t in uses if a == who) for _, who, _ in uses}

    assert view.spent.tokens == total
    assert (view.state == "spent") == (total >= limit)
    assert 0 <= view.remaining <= 1
    assert set(view.agents) == {who for who, spent in by.items() if spent >= limit}


def test_what_is_nearest_to_its_end_counts() -> None:
    allowance = Allowance(tokens=100, cost_usd=10.0, warn_at=0.5)
    view = budgets.view(allowance, [share(tokens=10, cost_usd=6.0)], NOW)

    assert abs(view.remaining - 0.4) < 1e-9
    assert view.state == "low"


def test_another_period_and_another_length_do_not_count() -> None:
    allowance = Allowance(tokens=100)
    old = share(tokens=100)
    later = NOW + timedelta(minutes=1)

    assert budgets.view(allowance, [old], NOW).state == "spent"
    assert budgets.view(allowance, [old], later).state == "ok"
    assert (
        budgets.view(allowance, [share(period="month", tokens=100)], NOW).state == "ok"
    )


def test_without_limits_nothing_is_ever_spent() -> None:
    view = budgets.view(Allowance(), [share(tokens=10**12)], NOW)

    assert (view.state, view.remaining, view.agents) == ("ok", 1.0, ())
    assert not budgets.has_limits(Allowance())
    assert budgets.has_limits(Allowance(agent_cost_usd=1.0))


def test_one_record_does_not_grow_without_end() -> None:
    one = share()
    for number in range(AGENTS_MAX + 5):
        one = one.plus(f"agent-{number}", Spent(tokens=1))

    assert len(one.agents) == AGENTS_MAX
    assert one.total.tokens == AGENTS_MAX + 5
