"""What is run without measuring coverage, for a tracer costs half of its time again.

Their subjects are traced by other tests; so the figure of coverage is a lower bound.
"""

import os

import pytest
from coverage import Coverage

UNTRACED = (
    "tests/chaos/",
    "tests/fuzz/",
    "tests/model/",
    "tests/node/cluster/test_failover_story.py",
    "tests/node/core/promql/test_against_prometheus.py",
    "tests/node/model/",
    "tests/node/services/messages/test_nothing_is_missed.py",
    "tests/node/services/messages/test_topics.py::test_a_session_has_so_many_subscriptions",
    "tests/node/services/sessions/test_second_lives.py",
    "tests/node/services/tasks/test_exactly_once.py",
    "tests/security/test_rest_by_its_description.py",
    "tests/system/crashes/",
    "tests/system/test_bad_input.py",
    "tests/system/test_console.py",
    "tests/system/test_every_refusal.py",
    "tests/system/test_failures.py",
    "tests/system/test_limits.py",
    "tests/system/test_multiplexers.py",
    "tests/system/test_queue_commands.py",
    "tests/system/test_ssh.py",
    "tests/system/test_terminals.py",
    "tests/tui/screens/test_every_list.py",
    "tests/tui/test_snapshots.py",
)
"""Beginnings of node ids: whole processes told twice, pictures, generated input."""

_CHILDREN = "COVERAGE_PROCESS_CONFIG"


class Tracer:
    """Coverage's, of this process and of those that it starts; none when not measured."""

    def __init__(self) -> None:
        self._coverage = Coverage.current()
        self._config = os.environ.get(_CHILDREN)
        self._on = True

    def follow(self, item: pytest.Item) -> None:
        """Trace this test, or don't."""
        wanted = not item.nodeid.startswith(UNTRACED)
        if self._coverage is None or wanted == self._on:
            return
        self._on = wanted
        if wanted:
            self._coverage.start()
            if self._config is not None:
                os.environ[_CHILDREN] = self._config
        else:
            self._coverage.stop()
            os.environ.pop(_CHILDREN, None)
