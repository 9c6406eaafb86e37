"""Commands that the console tells people to type: they exist, options and all."""

import shlex
import subprocess
import sys

import pytest

from nexa_tui.commands.table import BY_NAME
from nexa_tui.state.agents import AGENTS
from nexa_tui.state.events import EVENTS
from nexa_tui.state.tasks import TASKS
from nexa_tui.state.topology_list import PARTS
from nexa_tui.state.topology_loss import JOIN_HERE, JOIN_THERE

HINTS = (
    *(listing.empty[1] for listing in (AGENTS, EVENTS, PARTS, TASKS)),
    "nexa task show ID",
    "nexa cluster status",
    "nexa cluster remove NODE",
    "nexa cluster replicas 3",
    "nexa cluster leave --attach URL",
    "nexa node maintenance off alpha",
    "nexa node start --name beta --port 0 --join TOKEN",
    JOIN_HERE,
    JOIN_THERE,
    "nexa login URL",
    "nexa token create --role operator",
)


@pytest.mark.parametrize("hint", sorted(set(HINTS)))
def test_a_hinted_command_exists(hint: str) -> None:
    program, noun, *rest = shlex.split(hint)
    command = BY_NAME[noun]
    verb = [rest.pop(0)] if command.verbs and rest else []
    asked = [sys.executable, "-m", "nexa_tui", noun, *verb, "--help"]
    told = subprocess.run(asked, capture_output=True, text=True, timeout=30, check=True)

    assert program == "nexa"
    own = rest[: rest.index("--")] if "--" in rest else rest
    assert all(word in told.stdout for word in own if word.startswith("--"))
