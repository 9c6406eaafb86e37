"""The pictures of a while ago."""

from types import MappingProxyType

import msgspec

from nexa_node.contract.ids import AgentId
from nexa_tui.state.rewind import EVERY_S, PICTURES_MAX, ROWS_MAX, SPAN_S, Past
from nexa_tui.state.store import ClusterState
from tests.builders import agent


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
    oldest = past.find(-1)
    assert oldest is not None
    assert oldest.at >= PICTURES_MAX * 20 * EVERY_S - SPAN_S - 16 * EVERY_S


def test_many_rows_that_change_keep_fewer_pictures_than_those_that_do_not() -> None:
    whole = {AgentId(f"a-{n}"): agent(f"a-{n}") for n in range(2000)}
    quiet, busy = Past(), Past()
    still = ClusterState(agents=MappingProxyType(whole))
    for n in range(PICTURES_MAX):
        quiet.keep(msgspec.structs.replace(still, version=n), n * EVERY_S)
        busy.keep(ClusterState(agents=MappingProxyType(dict(whole))), n * EVERY_S)

    assert len(quiet) == PICTURES_MAX
    assert len(busy) < ROWS_MAX / 2000 + 1
