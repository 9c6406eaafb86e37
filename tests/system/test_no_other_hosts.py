"""A node asks no other host for anything by itself: no updates, no names, no figures.

Every connection and every datagram of the node's process is recorded by a hook of the
interpreter that nothing in the process can take off; where there is a working strace, so
are those of its nats-server.
"""

import ipaddress
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.system.conftest import Shell, end, environment, until

HOOK = """
import json, os, sys

out = os.open(sys.argv.pop(1), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
WATCHED = {
    "socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo",
    "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo",
}

def hook(event, arguments):
    if event in WATCHED:
        told = arguments[1] if event in ("socket.connect", "socket.sendto", "socket.sendmsg") else arguments[0]
        os.write(out, (json.dumps([event, told], default=str) + "\\n").encode())

sys.addaudithook(hook)
from nexa_node.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
RUN = ("run", "--name", "alone", "--port", "0")


def start(shell: Shell, *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        words,
        env=shell.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def use(shell: Shell) -> None:
    """All that a node does by itself and for its users, once."""
    until(lambda: shell("node", "status", "--json").code == 0, "a node that answers")
    assert shell("selftest").code == 0
    assert shell("task", "submit", "wc", "--data", '"x"').code == 0
    assert shell("metrics", "nexa_tasks").code == 0
    assert shell("cluster", "status").code == 0
    assert shell("doctor").code in {0, 1}


def local(address: Any) -> bool:
    """Whether that is this machine: a path, a loopback address or its name."""
    if address is None or (isinstance(address, str) and address.startswith("/")):
        return True
    name = address[0] if isinstance(address, list) else address
    if name in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(str(name)).is_loopback
    except ValueError:
        return False


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(environment(tmp_path / "home"))


def test_the_hook_sees_what_it_should(shell: Shell, tmp_path: Path) -> None:
    record = tmp_path / "calls"
    probe = HOOK.replace(
        "from nexa_node.__main__ import main\nsys.exit(main(sys.argv[1:]))",
        "import socket\n"
        "with socket.socket(type=socket.SOCK_DGRAM) as one:\n"
        "    one.connect(('192.0.2.1', 9))\n",
    )
    start(shell, sys.executable, "-c", probe, str(record)).communicate(timeout=30)

    told = [json.loads(line) for line in record.read_text().splitlines()]
    assert ["socket.connect", ["192.0.2.1", 9]] in told
    assert not all(local(address) for _, address in told)


def test_a_node_asks_nobody_but_its_own_store(shell: Shell, tmp_path: Path) -> None:
    record = tmp_path / "calls"
    process = start(shell, sys.executable, "-c", HOOK, str(record), *RUN)
    try:
        use(shell)
    finally:
        said = end(process)

    told = [json.loads(line) for line in record.read_text().splitlines()]
    assert any(event == "socket.connect" for event, _ in told), said
    assert [one for one in told if not local(one[1])] == []


def strace_works() -> bool:
    if shutil.which("strace") is None:
        return False
    tried = subprocess.run(
        ["strace", "-o", os.devnull, "true"], capture_output=True, check=False
    )
    return tried.returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not strace_works(), reason="there is no strace that works")
def test_nor_does_its_nats_server(shell: Shell, tmp_path: Path) -> None:
    record = tmp_path / "calls"
    calls = (
        "-f",
        "-qq",
        "-e",
        "trace=connect,sendto,sendmsg,sendmmsg",
        "-e",
        "signal=none",
    )
    node = (sys.executable, "-m", "nexa_node", *RUN)
    process = start(shell, "strace", *calls, "-o", str(record), *node)
    try:
        use(shell)
    finally:
        for pid in shell.home.rglob("node.json"):
            os.kill(json.loads(pid.read_text())["pid"], signal.SIGTERM)
        end(process)

    text = record.read_text(errors="replace")
    addresses = set(re.findall(r'inet_addr\("([^"]+)"\)', text))
    addresses |= set(re.findall(r'inet_pton\(AF_INET6, "([^"]+)"', text))
    assert "127.0.0.1" in addresses
    assert {one for one in addresses if not local(one)} == set()
