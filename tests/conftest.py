"""What all tests share: a clean environment, and hypothesis' profiles."""

import os

import pytest
from hypothesis import settings

from tests.untraced import Tracer

# Textual reads these when it is imported; a developer's own must not change a picture.
for variable in ("NO_COLOR", "TEXTUAL_THEME", "NEXA_HOME", "NEXA_URL", "NEXA_TOKEN"):
    os.environ.pop(variable, None)
os.environ["TEXTUAL_ANIMATIONS"] = "none"

settings.register_profile("ci", derandomize=True, deadline=None)
settings.load_profile("ci")


tracer = pytest.StashKey[Tracer]()


def pytest_configure(config: pytest.Config) -> None:
    """Take hold of coverage's tracer, if this run is measured."""
    config.stash[tracer] = Tracer()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> None:
    """Before anything of a test is set up: it is traced, or it isn't."""
    item.config.stash[tracer].follow(item)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """`-n auto`: one more for each two cores, for many tests wait for other processes."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
    return cores + cores // 2


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Leave out what takes minutes, unless it is asked for: `-m slow`."""
    if "slow" in config.getoption("markexpr"):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    if slow:
        items[:] = [item for item in items if not item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
