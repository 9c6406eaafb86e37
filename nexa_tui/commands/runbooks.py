"""A runbook by its alert's name, as it comes with nexa: no node has to answer for it."""

import subprocess
import sys

from nexa_node.contract.errors import NotFound
from nexa_tui.commands.output import Call, clean


def packaged(name: str, call: Call, *, as_json: bool) -> int:
    """Print the runbook of the built-in alert `name`.

    Raises:
        NotFound: nexa comes with none of that name.
    """
    done = subprocess.run(
        [sys.executable, "-m", "nexa_node", "runbook", name],
        env=dict(call.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise NotFound(
            clean(done.stderr.strip(), 300) or f"there is no runbook {name}",
            remedy="an alert of your own rules has its runbook on the board: "
            "nexa alerts runbook FINGERPRINT",
        )
    if as_json:
        call.json({"name": name, "text": done.stdout})
    for line in () if as_json else done.stdout.splitlines():
        call.line(clean(line, 500))
    return 0
