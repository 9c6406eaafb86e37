"""The pictures of a while ago."""

from types import MappingProxyType

import msgspec
from msgspec.structs import replace

from nexa_node.contract.ids import AgentId
from nexa_tui.state.rewind import BYTES_MAX, EVERY_S, PICTURES_MAX, SPAN_S, Past
from nexa_tui.state.store import ClusterState
from tests.builders import agent

STILL = [agent(f"a-{n}") for n in range(3000)]


def test_the_picture_of_that_time_is_found_and_the_oldest_for_earlier_ones() -> None:
    past = Past()
    assert past.find(5) is None
    states = [ClusterState(version=n) for n in range(10)]
    for n, state in enumerate(states):
        past.keep(state, n * EVERY_S)

    assert past.find(4 * EVERY_S + 0.5) is not None
    assert past.find(4 * EVERY_S + 0.5).state is states[4]  # type: ignore[union-attr]  # asserted
    assert past.find(-100).state is states[0]  # type: ignore[union-attr]  # asserted
    assert past.find(1e9).state is states[-1]  # type: ignore[union-attr]  # asserted


def test_a_burst_is_one_picture() -> None:
    past = Past()
    for n in range(100):
        past.keep(ClusterState(version=n), n * 0.01)

    assert len(past) == 1


def test_there_are_never_too_many_and_they_reach_as_far_back_as_before() -> None:
    past = Past()
    for n in range(PICTURES_MAX * 3):
        past.keep(ClusterState(version=n), n * EVERY_S)
        assert len(past) <= PICTURES_MAX

    oldest = past.find(-1)
    assert oldest is not None
    assert oldest.at <= 4 * EVERY_S
    for n in range(PICTURES_MAX * 3, PICTURES_MAX * 20):
        past.keep(ClusterState(version=n), n * EVERY_S)
    now = PICTURES_MAX * 20 * EVERY_S
    for ago in (10, 60, 300, 900, 1800, 3000):
        found = past.find(now - ago)
        assert found is not None
        assert 0 <= now - ago - found.at <= max(2 * EVERY_S, ago / 8)
    oldest = past.find(-1)
    assert oldest is not None
    assert now - SPAN_S <= oldest.at <= now - SPAN_S * 0.8


def test_the_last_minute_of_a_busy_cluster_can_be_gone_through_step_by_step() -> None:
    past = Past()
    for n in range(250):
        whole = {AgentId(f"a-{m}"): STILL[m] for m in range(3000)}
        whole |= {AgentId(f"b-{m}"): agent(f"b-{m}") for m in range(n % 7)}
        past.keep(ClusterState(agents=MappingProxyType(whole)), n * EVERY_S)

    assert len(past) < BYTES_MAX / (3000 * 30)
    for ago in range(0, 30, 2):
        found = past.find(249 * EVERY_S - ago)
        assert found is not None
        assert found.at == 249 * EVERY_S - ago


def test_records_that_change_weigh_more_than_those_that_do_not() -> None:
    moved, still = Past(), Past()
    for n in range(PICTURES_MAX - 1):
        new = {AgentId(f"a-{m}"): replace(STILL[m]) for m in range(400)}
        old = {AgentId(f"a-{m}"): STILL[m] for m in range(400)}
        moved.keep(ClusterState(agents=MappingProxyType(new)), n * EVERY_S)
        still.keep(ClusterState(agents=MappingProxyType(old)), n * EVERY_S)

    assert len(still) == PICTURES_MAX - 1
    assert len(moved) <= BYTES_MAX / (400 * 900)


def test_many_rows_that_change_keep_fewer_pictures_than_those_that_do_not() -> None:
    whole = {AgentId(f"a-{n}"): STILL[n] for n in range(3000)}
    quiet, busy = Past(), Past()
    still = ClusterState(agents=MappingProxyType(whole))
    for n in range(PICTURES_MAX):
        quiet.keep(msgspec.structs.replace(still, version=n), n * EVERY_S)
        busy.keep(ClusterState(agents=MappingProxyType(dict(whole))), n * EVERY_S)

    assert len(quiet) == PICTURES_MAX
    assert len(busy) < PICTURES_MAX


def test_where_all_is_new_each_time_the_oldest_go() -> None:
    past = Past()
    for n in range(60):
        new = {AgentId(f"a-{m}"): replace(STILL[m]) for m in range(2000)}
        past.keep(ClusterState(version=n, agents=MappingProxyType(new)), n * EVERY_S)

    assert len(past) <= BYTES_MAX / (2000 * 900)
    newest = past.find(60 * EVERY_S)
    assert newest is not None
    assert newest.at == 59 * EVERY_S
