"""`python -m nexa_node run`: one node, from its settings to its end.

Told to end by SIGTERM or ctrl-C it drains; told twice, it ends at once. What it can't
start for is one JSON line on standard error, which `nexa node start` puts in words.
"""

import argparse
import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import msgspec
import structlog

from nexa_node import private_files
from nexa_node.adapters.asgi.server import bind, url_of
from nexa_node.adapters.files.config import Loaded, load_settings
from nexa_node.adapters.files.logs import set_up_logs
from nexa_node.adapters.files.node_folder import NodeFolder, process_started
from nexa_node.adapters.files.places import base_folders
from nexa_node.adapters.files.startup_log import StartupLog
from nexa_node.adapters.host.clock import SystemClock
from nexa_node.contract import places
from nexa_node.contract.errors import NexaError, NotFound
from nexa_node.contract.ids import NodeId, slugify, time_ordered_id
from nexa_node.contract.nodes import NodeFile, NodeState
from nexa_node.contract.version import CONSOLE_PROTOCOL, VERSION
from nexa_node.core.encryption import is_encrypted
from nexa_node.wiring.composition import Composition
from nexa_node.wiring.encryption import port_files
from nexa_node.wiring.joining import join_cluster
from nexa_node.wiring.place import Place
from nexa_node.wiring.running import running
from nexa_node.wiring.storing import refuse_if_attached

TOKEN_MAX = 8192

log: Any = structlog.get_logger("nexa_node.run")


def main(arguments: list[str]) -> int:
    """Run a node until it is told to end.

    Returns:
        0 after an orderly end; 1 when it could not start or had to give up.
    """
    options = _parser().parse_args(arguments)
    try:
        again = asyncio.run(_run(options))
    except NexaError as error:
        _tell(error, foreground=options.foreground)
        return 1
    except KeyboardInterrupt:
        return 130
    if again is not None:
        words = [sys.executable, "-m", "nexa_node", "run", *_words(options, again)]
        os.execv(sys.executable, words)  # noqa: S606  # no shell is wanted
    return 0


def _words(options: argparse.Namespace, port: int) -> list[str]:
    """What this run was told, for the next one; the port stays, a join does not."""
    words = ["--port", str(port)]
    for flag in ("name", "config"):
        value = getattr(options, flag)
        if value is not None:
            words += [f"--{flag}", str(value)]
    for pair in options.set:
        words += ["--set", pair]
    return [*words, "--foreground"] if options.foreground else words


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nexa node run", description="Run a node in the foreground."
    )
    parser.add_argument("--name", help="a slug; the host's name by default")
    parser.add_argument("--port", type=int, help="6392 by default; 0: any free one")
    parser.add_argument("--config", type=Path, help="instead of nexa.toml")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="any setting"
    )
    parser.add_argument(
        "--join-file",
        metavar="FILE",
        help="a join token, by which this node joins a cluster; -: standard input",
    )
    parser.add_argument(
        "--foreground", action="store_true", help="write the log to standard error too"
    )
    return parser


def _tell(error: NexaError, *, foreground: bool) -> None:
    if foreground and sys.stderr.isatty():
        mend = f" — mend: {error.remedy}" if error.remedy else ""
        sys.stderr.write(f"nexa: {error.message}{mend}\n")
        return
    told = {"error": error.message, "reason": error.reason, "remedy": error.remedy}
    sys.stderr.write(msgspec.json.encode(told).decode() + "\n")


async def _run(options: argparse.Namespace) -> int | None:
    """Be the node; on which port to be it again, None: not at all."""
    config, state = base_folders()
    loaded = load_settings(
        options.config or Path(places.node_config(config)),
        environ=os.environ,
        flags=_flags(options),
        required=options.config is not None,
    )
    settings = loaded.settings
    name = settings.node.name or slugify(socket.gethostname(), default="node")
    with NodeFolder(Path(places.node_folder(state, name))) as folder:
        set_up_logs(
            settings.log,
            Path(places.node_log(state)),
            node=name,
            foreground=options.foreground,
        )
        note = StartupLog(Path(places.startup_log(state)), node=name)
        try:
            sock = await asyncio.to_thread(bind, settings.node.host, settings.node.port)
            with contextlib.closing(sock):
                place = _place(loaded, folder, sock, name=name, state=state)
                doing = ""
                if options.join_file is not None:
                    refuse_if_attached(place)
                    joined = await join_cluster(place, _token(options.join_file))
                    doing = f"admitted to {joined.cluster}, its store meets the others"
                port = int(sock.getsockname()[1])
                return port if await _serve(place, sock, doing) else None
        except NexaError as error:
            note.note("node.failed", error=error.message, remedy=error.remedy)
            log.critical("node_failed", reason=error.message, remedy=error.remedy)
            raise


def _flags(options: argparse.Namespace) -> dict[str, str]:
    """Put flags into the words of the settings."""
    flags: dict[str, str] = {}
    for pair in options.set:
        key, _, value = pair.partition("=")
        flags[key] = value
    if options.name is not None:
        flags["node.name"] = options.name
    if options.port is not None:
        flags["node.port"] = str(options.port)
    return flags


def _token(path: str) -> str:
    """Read a join token."""
    if path == "-":
        return sys.stdin.readline(TOKEN_MAX)
    content = private_files.read(Path(path))
    if content is None:
        raise NotFound(f"there is no file {path}", remedy="nexa cluster join-token")
    return content[:TOKEN_MAX].decode(errors="replace")


def _place(
    loaded: Loaded, folder: NodeFolder, sock: socket.socket, *, name: str, state: Path
) -> Place:
    clock, settings = SystemClock(), loaded.settings
    now_ms = int(clock.now().timestamp() * 1000)
    new_id = time_ordered_id(now_ms, secrets.token_bytes(10))
    return Place(
        folder=folder,
        identity=folder.identity(name=name, new_id=new_id),
        url=url_of(sock, secure=is_encrypted(settings.tls, settings.node.host)),
        state=state,
        loaded=loaded,
        started=clock.now(),
    )


async def _serve(place: Place, sock: socket.socket, doing: str) -> bool:
    """Run until told to end; whether the process is to start anew.

    Until it is ready it announces what it is `doing`.
    """
    clock = SystemClock()
    name = place.identity.name
    note = StartupLog(Path(places.startup_log(place.state)), node=name)
    note.note("node.start", version=VERSION, url=place.url, pid=os.getpid())
    began = clock.monotonic()
    _announce(place, "starting", doing)
    try:
        async with running(place, sock) as node:
            node.condition.enter("running")
            await node.maintenance.begin()
            _announce(place, "running")
            took_ms = round((clock.monotonic() - began) * 1000, 1)
            note.note("node.ready", duration_ms=took_ms)
            log.info("node_running", url=place.url, duration_ms=took_ms)
            node.supervisor.spawn("selftest", _test_itself(node))
            await _until_told(node, place)
    finally:
        place.folder.withdraw()
    note.note("node.stop")
    log.info("node_stopped", again=node.drain.again)
    return node.drain.again


async def _test_itself(node: Composition) -> None:
    await node.selftests.run_quietly()
    node.condition.look()


async def _until_told(node: Composition, place: Place) -> None:
    """Drain on SIGTERM, ctrl-C or an operator's word. A second signal ends at once."""
    loop = asyncio.get_running_loop()

    def told(number: signal.Signals) -> None:
        if node.drain.begun:
            node.drain.done.set()
            return
        _announce(place, "stopping")
        node.drain.begin(number.name)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told, number)
    await node.drain.done.wait()


def _announce(place: Place, state: NodeState, doing: str = "") -> None:
    files = port_files(place)
    place.folder.announce(
        NodeFile(
            id=NodeId(place.identity.id),
            name=place.identity.name,
            cluster=place.loaded.settings.node.cluster,
            state=state,
            url=place.url,
            pid=os.getpid(),
            pid_started=process_started(),
            version=VERSION,
            started=place.started,
            console_protocol=CONSOLE_PROTOCOL,
            trust="" if files is None else str(files.trusted),
            trust_by_name=files is None or not files.is_own,
            doing=doing,
        )
    )
