"""Only looking: nothing that changes something leaves this machine.

Three ways to say so, and none takes another back: `--read-only`, `NEXA_READ_ONLY`, and a
context that is. It guards against one's own slips; who must not change anything gets a
token of the role viewer.
"""

import re
from collections.abc import Mapping

from nexa_node.contract.errors import Forbidden

VARIABLE, OPTION = "NEXA_READ_ONLY", "--read-only"
_NO = frozenset(("", "0", "false", "no", "off"))

_LOOKS = re.compile(
    r"/v1/(selftest|silences/preview|login|login/challenge|cluster/backup"
    r"|nodes/[^/]+/profile)|/api/v1/(query|query_range|series|labels)"
)
"""POSTs that change nothing: they look, or prove who one is."""


class ReadOnly(Forbidden):
    """It would change something, and only looking is wanted here."""


def wanted(environ: Mapping[str, str]) -> bool:
    """Say whether the environment wants nothing changed. What is unclear is a yes."""
    return environ.get(VARIABLE, "").strip().lower() not in _NO


def with_read_only(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment in which nothing is changed."""
    return {**environ, VARIABLE: "1"}


def refuse(what: str, why: str) -> ReadOnly:
    """The error for something that changes something.

    Args:
        what: The command or the call.
        why: Who wants nothing changed.
    """
    return ReadOnly(
        f"{what}: refused, read-only: {why}",
        remedy=f"leave out {OPTION}, unset {VARIABLE}, or use another context; where"
        " there is one, --dry-run only looks",
    )


def check_call(method: str, path: str, *, dry_run: bool, source: str) -> None:
    """Let a call pass that changes nothing: the wall behind all other refusals.

    Raises:
        ReadOnly: It would change something; it was not sent.
    """
    way = path.partition("?")[0]
    if method == "GET" or dry_run or (method == "POST" and _LOOKS.fullmatch(way)):
        return
    raise refuse(f"{method} {way}", f"{source} is only looked at")
