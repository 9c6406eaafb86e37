"""What goes wrong at a start, each with a message that says what to do."""

import os
import shutil
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.system.conftest import Shell, end, environment, servers_under, until


def start(shell: Shell, *words: str) -> str:
    """Start a node that can't; what was said."""
    said = shell("node", "start", "--name", "alpha", *words)

    assert said.code == 1
    assert said.err.count("\n") == 1
    assert " — mend: " in said.err
    assert "Traceback" not in said.err
    assert servers_under(shell.home) == []
    return said.err


def test_a_port_that_another_program_holds(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        said = start(shell, "--port", str(holder.getsockname()[1]))

    assert "another program" in said
    assert "--port" in said


@pytest.mark.usefixtures("node")
def test_a_port_that_a_nexa_node_holds(shell: Shell, tmp_path: Path) -> None:
    url = shell("node", "status", "--json").json()["url"]
    other = Shell(environment(tmp_path / "other"))

    said = start(other, "--port", url.rpartition(":")[2])

    assert "nexa" in said
    assert "nexa node status" in said


@pytest.mark.usefixtures("node")
def test_a_second_node_on_the_same_folder(shell: Shell) -> None:
    words = [sys.executable, "-m", "nexa_node", "run", "--name", "alpha", "--port", "0"]
    done = subprocess.run(
        words,
        env=shell.environ,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert done.returncode == 1
    assert "another node (pid" in done.stderr
    assert "--name OTHER" in done.stderr
    assert shell("node", "status").code == 0


def test_starting_twice_finds_the_one_that_runs(shell: Shell) -> None:
    first = shell("node", "start", "--name", "alpha", "--port", "0", "--json").json()
    second = shell("node", "start", "--name", "alpha", "--json").json()

    assert first["pid"] == second["pid"]


def test_a_state_folder_that_is_a_file(shell: Shell) -> None:
    shell.home.mkdir(parents=True)
    (shell.home / "state").write_text("")

    said = start(shell, "--port", "0")

    assert "NEXA_HOME" in said


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small disk")
def test_a_state_folder_that_is_full(shell: Shell) -> None:
    state = shell.home / "state"
    state.mkdir(parents=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", str(state)],
        check=True,
    )
    try:
        with suppress(OSError), (state / "ballast").open("wb", buffering=0) as ballast:
            while True:
                ballast.write(b"x" * 4096)
        said = start(shell, "--port", "0")
    finally:
        subprocess.run(["umount", str(state)], check=True)

    assert "No space left" in said
    assert "free space" in said


def test_a_damaged_store(shell: Shell) -> None:
    shell("node", "start", "--name", "alpha", "--port", "0")
    shell("task", "submit", "x", "--data", '"precious"')
    shell("node", "stop")
    for stream in shell.home.glob("state/node/alpha/jetstream/**/streams/*"):
        shutil.rmtree(stream)

    said = start(shell, "--port", "0")

    assert str(shell.home / "state/node/alpha") in said


@pytest.mark.parametrize(
    ("version", "says"),
    [("v2.9.10", "2.9.10"), ("v2.15.1", None)],
    ids=["too old", "altered"],
)
def test_a_nats_server_that_is_not_right(
    shell: Shell, tmp_path: Path, version: str, says: str | None
) -> None:
    fake = tmp_path / "nats-server"
    fake.write_text(f"#!/bin/sh\necho 'nats-server: {version}'\n")
    fake.chmod(0o755)
    import hashlib

    right = hashlib.sha256(fake.read_bytes()).hexdigest()
    sha256 = right if says else "0" * 64

    said = start(
        shell,
        "--port",
        "0",
        "--set",
        f"store.nats_server={fake}",
        "--set",
        f"store.sha256={sha256}",
    )

    assert (says or "SHA-256") in said


def test_a_nats_server_that_is_missing(shell: Shell) -> None:
    said = start(
        shell,
        "--port",
        "0",
        "--set",
        "store.nats_server=/no/such",
        "--set",
        "store.sha256=00",
    )

    assert "/no/such" in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[node]\nprot = 7000\n", ("nexa.toml:2", "'prot'", "port")),
        ("[noed]\nport = 7000\n", ("nexa.toml:2", "'noed'", "node")),
        ('[leases]\n\nlease_ms = "x"\n', ("nexa.toml:3", "leases.lease_ms")),
        ("[node\n", ("nexa.toml:1", "no TOML")),
        ('[[check]]\nname = "a"\nkind = "tcp"\n', ("nexa.toml:3", "target")),
    ],
    ids=["key", "section", "type", "syntax", "meaning"],
)
def test_a_bad_configuration_names_file_line_and_key(
    shell: Shell, text: str, says: tuple[str, ...]
) -> None:
    path = shell.home / "config" / "nexa.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)

    said = start(shell, "--port", "0")

    assert all(word in said for word in says), said


def test_a_bad_configuration_is_told_by_the_self_test(shell: Shell) -> None:
    path = shell.home / "config" / "nexa.toml"
    path.parent.mkdir(parents=True)
    path.write_text("[node]\nprot = 7000\n")

    told = shell("selftest", "--json").json()

    found = {check["id"]: check for check in told["checks"]}["configuration.settings"]
    assert told["status"] == "fail"
    assert "nexa.toml:2" in found["cause"]


@pytest.mark.usefixtures("node")
def test_a_dead_store_is_started_again_and_nothing_is_lost(shell: Shell) -> None:
    kept = shell("task", "submit", "x", "--data", '"precious"', "--json").json()["id"]
    for process in servers_under(shell.home):
        if "nats-server" in " ".join(process.cmdline()):
            process.kill()

    until(lambda: shell("task", "submit", "x", "--json").code == 0, "the store is back")
    until(
        lambda: "store.changed" in shell("events", "--json").out, "it is written down"
    )

    assert shell("task", "show", kept, "--json").json()["data"] == "precious"


@pytest.mark.usefixtures("node")
def test_a_stopped_node_is_told_apart_from_none(shell: Shell) -> None:
    node = next(
        process
        for process in servers_under(shell.home)
        if "nexa_node run" in " ".join(process.cmdline())
    )
    node.kill()
    until(lambda: shell("node", "status").code == 3, "it is gone")
    said = shell("node", "status")

    assert "ended without a word" in said.out
    assert "nexa node start" in said.err


def test_a_node_in_the_foreground_ends_on_ctrl_c(shell: Shell) -> None:
    import signal

    running = shell.spawn("node", "run", "--name", "alpha", "--port", "0")
    until(lambda: shell("node", "status").code == 0, "it runs")

    said = end(running, signal.SIGINT)

    assert running.returncode == 0
    assert "node_stopped" in said


def test_the_demo_shows_it_all_and_leaves_nothing(shell: Shell) -> None:
    said = shell("demo", "--headless", "--agents", "3", "--duration", "6", "--json")

    import msgspec

    last = msgspec.json.decode(said.out.splitlines()[-1])
    assert said.code == 0
    assert last["completed"] > 0
    assert servers_under(shell.home) == []
