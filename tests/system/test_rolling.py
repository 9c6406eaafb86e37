"""One node after the other is taken down and comes back, while everybody calls on."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nexa_node.contract.version import VERSION
from tests.system.calling import Callers
from tests.system.conftest import end, until
from tests.system.future import NEXT, make_next_version
from tests.system.town import Town

ONE = ("echo", "1")
NAMES = ("alpha", "beta", "gamma")
CALLS = 60
"""Between two steps: everybody called, of each kind, and more than once."""

pytestmark = [pytest.mark.timeout(400), pytest.mark.slow]


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = Town(tmp_path)
    yield made
    made.end()


def three(town: Town) -> None:
    town.found("alpha")
    town.join("beta", "alpha")
    town.join("gamma", "alpha")
    until(lambda: town.copies("alpha") == {3}, "three copies of everything", 60)


def is_well(town: Town, at: str) -> bool:
    """All nodes run, and every copy is in step: the next one may go."""
    status = town.status(at)
    states = {one["name"]: one["state"] for one in status["nodes"]}
    return set(states.values()) == {"running"} and status["tolerates"] == 1


def roll(town: Town, before: Callable[[str], object]) -> None:
    """Restart all, one after the other; nobody's call fails, no task is done twice."""
    agents = [
        town[name].agent(f"worker-{name}", "job", *ONE, options=("--slots", "4"))
        for name in NAMES[:2]
    ]
    urls = [town.target(name).url for name in NAMES]
    token = town.target("alpha").token
    assert token is not None
    try:
        for name in NAMES[:2]:
            until(lambda n=name: town["gamma"].connected(f"worker-{n}"), "it is there")
        with Callers(urls, token) as callers:
            until(lambda: callers.calls > CALLS, "they call")
            for name in NAMES:
                before(name)
                done = town[name]("node", "restart")
                assert done.code == 0, done.err
                until(lambda at=name: is_well(town, at), f"{name} is back", 60)
                called = callers.calls
                until(lambda c=called: callers.calls > c + CALLS, "they call on")
        assert callers.failures == []
        assert callers.heard_in_order()
        until(
            lambda: finished(town).keys() >= set(callers.submitted), "all are done", 60
        )
        assert {finished(town)[task] for task in callers.submitted} == {1}
    finally:
        for agent in agents:
            end(agent)


def finished(town: Town) -> dict[str, int]:
    """Every completed task, and how often it was tried."""
    words = ("task", "list", "--status", "completed", "--limit", "1000", "--json")
    found: dict[str, int] = {}
    cursor: tuple[str, ...] = ()
    while True:
        page = town["alpha"](*words, *cursor).json()
        found |= {each["id"]: each["attempts"] for each in page["items"]}
        if not page["next_cursor"]:
            return found
        cursor = ("--cursor", page["next_cursor"])


def test_a_rolling_restart_fails_no_call(town: Town) -> None:
    three(town)

    roll(town, before=lambda _: None)


def test_a_rolling_upgrade_fails_no_call(town: Town, tmp_path: Path) -> None:
    later = make_next_version(tmp_path / "next")
    three(town)
    versions: list[set[str]] = []

    def upgrade(name: str) -> None:
        town.upgrade(name, later)
        versions.append({one["version"] for one in town.nodes("gamma").values()})

    roll(town, before=upgrade)

    assert versions == [{VERSION}, {VERSION, NEXT}, {VERSION, NEXT}]
    assert {one["version"] for one in town.nodes("alpha").values()} == {NEXT}
