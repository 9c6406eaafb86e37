"""`nexa chaos` on a demo that really runs: what it does is done, and healed."""

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexa_tui.commands import chaos
from nexa_tui.commands.output import Call
from tests.system.conftest import end, environment, servers_under, stop_all, until

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def environ(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A demo of one node, in this test's own folder for temporary files."""
    made = {**environment(tmp_path / "home"), "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [
            sys.executable, "-m", "nexa_tui", "demo", "--headless", "--agents", "2",
            "--duration", "600",
        ],
        env=made,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as demo:  # fmt: skip
        home = tmp_path
        try:
            assert demo.stdout is not None
            demo.stdout.readline()  # it is at work
            [home] = tmp_path.glob("nexa-demo-*")
            yield made
        finally:
            end(demo)
            stop_all({"NEXA_HOME": str(home)})
            until(lambda: not servers_under(home), "nothing is left running", 10)


def said(environ: dict[str, str], *words: str) -> str:
    out = io.StringIO()
    assert (
        chaos.run(list(words), Call(environ=environ, out=out, err=io.StringIO())) == 0
    )
    return out.getvalue()


def test_a_node_is_killed_stopped_and_restarted_and_is_back_each_time(
    environ: dict[str, str],
) -> None:
    before = chaos.find_demo(environ).nodes[0]

    killed = said(environ, "kill", "demo", "--down", "0.2", "--anyway")
    after = chaos.find_demo(environ).nodes[0]
    stopped = said(environ, "stop", "demo", "--down", "0.2", "--anyway")
    hung = chaos.find_demo(environ).nodes[0]
    restarted = said(environ, "restart", "demo", "--anyway")
    last = chaos.find_demo(environ).nodes[0]

    assert "healed demo" in killed
    assert "healed demo" in stopped
    assert "healed demo" in restarted
    assert before.url == after.url == hung.url == last.url
    assert before.pid != after.pid == hung.pid != last.pid
