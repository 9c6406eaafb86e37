"""What may import what, and what a start must not cost. A fresh interpreter is the
only proof that a deferred import is deferred."""

import subprocess
import sys

import pytest


def modules_after(code: str) -> set[str]:
    program = f"{code}\nimport sys; print('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import nexa_node.contract.frames", {"nats", "textual", "httpx", "asyncio"}),
        ("import nexa_tui.state.store", {"textual", "rich", "httpx", "asyncio"}),
        (
            "import nexa_node.agent",
            {"nats", "starlette", "uvicorn", "textual", "psutil"},
        ),
        (
            "import nexa_node.wiring.run",
            {"textual", "nexa_tui", "asyncpg", "redis"},
        ),
        ("import nexa_tui.app", {"httpx", "websockets", "nats", "starlette"}),
    ],
    ids=["contract", "console state", "agent library", "node", "console"],
)
def test_importing_it_stays_light(code: str, absent: set[str]) -> None:
    assert not absent & modules_after(code)


def test_the_version_imports_no_framework() -> None:
    code = (
        "import sys; sys.argv = ['nexa', '--version']\n"
        "from nexa_tui.__main__ import main\n"
        "try: main()\nexcept SystemExit: pass"
    )

    assert not {"textual", "rich", "httpx", "msgspec", "websockets"} & modules_after(
        code
    )
