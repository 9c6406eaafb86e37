"""What a node's refusal means for a person, in one sentence and one command."""

import msgspec

from nexa_node.contract.errors import (
    Forbidden,
    NexaError,
    Problem,
    Unauthorized,
    UnsupportedVersion,
    from_problem,
)
from nexa_node.contract.version import CONSOLE_PROTOCOL
from nexa_tui.client.discovery import Target

_REMEDIES: dict[type[NexaError], str] = {
    Unauthorized: "nexa login, or set NEXA_TOKEN_FILE to a file with a valid token",
    Forbidden: "ask an admin for a token with that role: nexa token create --role operator",
}


def told(status: int, body: bytes, target: Target) -> NexaError:
    """Make the error that an HTTP answer tells."""
    try:
        error = from_problem(msgspec.json.decode(body, type=Problem))
    except msgspec.DecodeError:
        return NexaError(
            f"{target.url} answers HTTP {status} and is no nexa node",
            remedy="nexa node status; or attach to another URL",
        )
    if error.remedy is None:
        error.remedy = _REMEDIES.get(type(error))
    return error


def too_old(name: str, version: str, spoken: int) -> UnsupportedVersion:
    """Say that a node is too old to be watched by this console."""
    return UnsupportedVersion(
        f"node {name} ({version}) is too old for this console: it speaks console feed"
        f" {spoken}, this one needs {CONSOLE_PROTOCOL}",
        remedy="upgrade the node, or use the commands: nexa agents list, nexa task list",
    )


def unreadable(target: Target, why: str) -> NexaError:
    """Say that an answer makes no sense to this version."""
    return NexaError(
        f"the node at {target.url} says what this nexa can't read ({why})",
        remedy="nexa version; upgrade the older of the two",
    )
