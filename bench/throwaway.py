"""A node in a folder that is removed afterwards, and environments for peers."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PEERS = Path(tempfile.gettempdir()) / "nexa-bench-peers"
"""Where peers are installed, unless somebody says where."""
IN_STEP_S = 120.0


def nexa() -> list[str]:
    """The installed program beside this interpreter, or else the module."""
    script = Path(sys.executable).with_name("nexa")
    return [str(script)] if script.exists() else [sys.executable, "-m", "nexa_tui"]


@dataclass(frozen=True)
class Node:
    """A running node."""

    url: str
    token: str
    pid: int
    environ: dict[str, str]
    """For commands and consoles that are to find it."""

    @property
    def for_agents(self) -> dict[str, str]:
        """The environment of agents."""
        return {**self.environ, "NEXA_URL": self.url, "NEXA_TOKEN": self.token}


def clean_environ(**more: str) -> dict[str, str]:
    """This environment without anybody's settings of nexa."""
    kept = {key: text for key, text in os.environ.items() if key[:5] != "NEXA_"}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


@contextmanager
def running_node(
    *words: str, name: str = "bench", **settings: object
) -> Iterator[Node]:
    """Start a node; it and its folder are gone afterwards.

    Args:
        words: More for `nexa node start`.
        name: The node's.
        settings: What is to differ from the defaults: `sessions_connections=6000` is
            `connections` in `[sessions]`.
    """
    home = Path(tempfile.mkdtemp(prefix="nexa-bench-"))
    said = {f"NEXA_{name.upper()}": str(value) for name, value in settings.items()}
    environ = clean_environ(NEXA_HOME=str(home), **said)
    try:
        start = ("node", "start", "--name", name, "--port", "0", *words)
        with uninterrupted():
            told = _start(home, *start, environ=environ)
        folder = home / "state" / "node" / name
        token = (folder / "admin.token").read_text().strip()
        pid = json.loads((folder / "node.json").read_text())["pid"]
        yield Node(url=told["url"], token=token, pid=pid, environ=environ)
    finally:
        with uninterrupted():
            _nexa("node", "stop", environ=environ)
            shutil.rmtree(home, ignore_errors=True)


@contextmanager
def running_cluster(count: int, **settings: object) -> Iterator[list[Node]]:
    """Start nodes that are one cluster; they and their folders are gone afterwards.

    They are one when all copies are in step. Each has a home of its own, as if it were a
    machine of its own.

    Args:
        count: How many.
        settings: As for `running_node`.
    """
    with ExitStack() as stack:
        nodes = [stack.enter_context(running_node(**settings))]
        for number in range(1, count):
            nodes.append(stack.enter_context(joined(nodes[0], number, **settings)))
        in_step(nodes[0], count)
        yield nodes


@contextmanager
def joined(first: Node, number: int, **settings: object) -> Iterator[Node]:
    """Start one more node of a cluster."""
    token = _nexa("cluster", "join-token", environ=first.environ)["token"]
    more = ("--join", token)
    with running_node(*more, name=f"bench-{number}", **settings) as node:
        yield node


def in_step(node: Node, count: int) -> None:
    """Wait until all of a cluster's nodes are there, and all copies current.

    Raises:
        SystemExit: They are not, after two minutes.
    """
    copies = 3 if count > 2 else 1
    until = time.monotonic() + IN_STEP_S
    told: dict[str, Any] = {}
    while time.monotonic() < until:
        told = ask(node, "/v1/cluster")
        if (
            len(told["nodes"]) == count
            and told["streams"]
            and all(
                place["leader"]
                and len(place["replicas"]) >= copies
                and all(copy["current"] for copy in place["replicas"])
                for place in told["streams"]
            )
        ):
            return
        time.sleep(0.2)
    raise SystemExit(f"{count} nodes are not in step after {IN_STEP_S:g} s: {told}")


def ask(node: Node, path: str) -> dict[str, Any]:
    """What a node answers to a GET."""
    asked = urllib.request.Request(
        node.url + path, headers={"Authorization": f"Bearer {node.token}"}
    )
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return json.load(answer)


NEEDS = {
    # 0.26 ends posting with a segmentation fault: its grammars are built for older ones.
    "posting": ["tree-sitter<0.26"],
}


def peer(package: str, folder: Path) -> Path:
    """Install `package` into an environment of its own, once; its `bin` folder."""
    return environment(package, [package, *NEEDS.get(package, [])], folder)


def environment(name: str, packages: list[str], folder: Path) -> Path:
    """Install `packages` into an environment of their own, once; its `bin` folder."""
    place = folder / name
    done = place / "installed"
    if not done.exists() or done.read_text().split() != packages:
        print(f"installing {name} into {place}", file=sys.stderr, flush=True)
        venv.create(place, with_pip=True, clear=True)
        pip = [str(place / "bin" / "python"), "-m", "pip", "install", "-qq"]
        subprocess.run([*pip, *packages], check=True)
        # Compiled files, as a package that is in use has them.
        python = str(place / "bin" / "python")
        subprocess.run([python, "-m", "compileall", "-q", str(place)], check=False)
        done.write_text("\n".join(packages))
    return place / "bin"


def versions(bin_folder: Path, packages: list[str]) -> dict[str, str]:
    """Which versions of `packages` an environment has."""
    names = [package.partition("[")[0] for package in packages]
    script = (
        "import importlib.metadata as m, json, sys;"
        "print(json.dumps({name: m.version(name) for name in sys.argv[1:]}))"
    )
    said = subprocess.check_output([str(bin_folder / "python"), "-c", script, *names])
    return json.loads(said)


def raise_file_limit(wanted: int) -> None:
    """Let this process, and what it starts, have `wanted` files open.

    Raises:
        SystemExit: The hard limit is lower.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise SystemExit(f"{wanted} open files are needed, {hard} allowed: ulimit -Hn")
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Put off Ctrl-C and SIGTERM until what is done here is done."""
    came: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    handlers = {
        number: signal.signal(number, lambda came_now, _frame: came.append(came_now))
        for number in numbers
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if came:
        signal.raise_signal(came[0])


def end_in_order() -> None:
    """Let a SIGTERM end this process as Ctrl-C does: what was started is stopped."""

    def terminated(_number: int, _frame: object) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, terminated)


def _start(home: Path, *words: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Start a node; its last words if it does not, since its folder will be gone."""
    try:
        return _nexa(*words, environ=environ)
    except SystemExit as error:
        last = home / "state" / "logs" / "node.err"
        said = last.read_text()[-3000:] if last.exists() else ""
        raise SystemExit(f"{error}\n{said}") from None


def _nexa(*words: str, environ: Mapping[str, str]) -> dict[str, str]:
    # A session of its own: Ctrl-C here must not cut off `nexa node stop`.
    done = subprocess.run(
        [*nexa(), *words, "--json"],
        env=dict(environ),
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )
    if done.returncode != 0:
        raise SystemExit(f"nexa {' '.join(words)}: {done.stderr.strip()}")
    return json.loads(done.stdout)
