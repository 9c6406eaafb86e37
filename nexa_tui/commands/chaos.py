"""`nexa chaos`: kill, stop and restart the nodes of a demo, and nobody else's.

A demo is known by three things that agree: a folder `nexa-demo-…` of this user in the
folder for temporary files, a node announced in it, and that very process, which has the
folder as its NEXA_HOME and `NEXA_DEMO` in its environment. Only `nexa demo` makes such a
process. Whatever lacks one of them is refused, however it is named.
"""

import argparse
import os
import random
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from nexa_node.contract.errors import Conflict, Invalid, NexaError, NotFound
from nexa_node.contract.nodes import Cluster
from nexa_tui.client.discovery import Target, announced, local_nodes
from nexa_tui.client.launch import exists, start_node, stop_node
from nexa_tui.client.rest import Rest
from nexa_tui.commands.arguments import Parser, seconds
from nexa_tui.commands.output import Call, clean
from nexa_tui.state.topology import topology
from nexa_tui.state.topology_loss import loss, loss_sentences

FAULTS = ("kill", "stop", "restart")
FOLDERS = "nexa-demo-*"
MARK, HOME = "NEXA_DEMO", "NEXA_HOME"
DOWN_S = 8.0
"""How long a killed or stopped node is away, unless somebody says so."""
REST_S = (6.0, 12.0)
"""From one fault to the next with `--random`: an election takes 4 to 9 s."""
BACK_S = 60.0
_GONE_S = 10.0
_BEAT_S = 0.2


class Demo(NamedTuple):
    """A demo that runs on this machine."""

    home: Path
    environ: Mapping[str, str]
    """As its nodes have it: what a node is started with again."""
    cluster: str
    nodes: tuple[Target, ...]

    def node(self, name: str) -> Target | None:
        """The node of that name, if it runs."""
        return next((one for one in self.nodes if one.name == name), None)


def run(arguments: list[str], call: Call) -> int:
    """Do one thing to one node, or many to any for a while, or tell what could be done."""
    options = _parser().parse_args(arguments)
    if options.fault is not None and options.random:
        raise Invalid("either name a fault or say --random", remedy="nexa chaos --help")
    demo = find_demo(call.environ, options.demo)
    if options.random:
        return _random(demo, options, call)
    if options.fault is None:
        return _tell(demo, options, call)
    _strike(demo, options.fault, _named(demo, options.node), options, call)
    return 0


def _parser() -> Parser:
    parser = Parser(
        "chaos",
        "Kill, stop or restart a node of the demo that runs here, and heal it again.\n"
        "Only ever nodes that `nexa demo` started; says what it does. Without a fault\n"
        "it tells what each node's loss would hit.",
    )
    parser.add_argument(
        "fault",
        nargs="?",
        choices=FAULTS,
        help="kill: kill -9, back later; stop: SIGSTOP, SIGCONT later; restart: in order",
    )
    parser.add_argument("node", nargs="?", metavar="NODE", help="its name")
    parser.add_argument(
        "--random", action="store_true", help="one fault after the other, at any node"
    )
    parser.add_argument(
        "--seconds", type=seconds, default=60.0, metavar="S", help="of --random: 60"
    )
    parser.add_argument(
        "--down", type=seconds, default=DOWN_S, metavar="S", help="how long: 8"
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="of --random: the same faults again"
    )
    parser.add_argument(
        "--anyway", action="store_true", help="also where writes would stop"
    )
    parser.add_argument(
        "--demo", type=Path, metavar="FOLDER", help="which, if several run"
    )
    parser.add_argument("--json", action="store_true")
    return parser


# -- which demo --------------------------------------------------------------------


def find_demo(environ: Mapping[str, str], wanted: Path | None = None) -> Demo:
    """Find the demo that runs here.

    Args:
        environ: For `TMPDIR`, where demos have their folders.
        wanted: The folder of one of them.

    Raises:
        NotFound: There is none, or not that one.
        Conflict: There are several, and nobody said which.
    """
    demos = list(_demos(environ))
    if wanted is not None:
        demos = [one for one in demos if one.home == wanted.resolve()]
        if not demos:
            raise NotFound(
                f"{wanted} is no folder of a demo that runs: nothing is touched",
                remedy="nexa chaos; or start one: nexa demo --nodes 3",
            )
    if not demos:
        raise NotFound(
            "no demo runs on this machine, and nothing else is ever touched",
            remedy="nexa demo --nodes 3",
        )
    if len(demos) > 1:
        homes = ", ".join(str(one.home) for one in demos)
        raise Conflict(
            f"{len(demos)} demos run: {homes}",
            remedy=f"nexa chaos --demo {demos[0].home}",
        )
    return demos[0]


def _demos(call_environ: Mapping[str, str]) -> Iterator[Demo]:
    base = Path(call_environ.get("TMPDIR") or tempfile.gettempdir())
    for home in sorted(base.glob(FOLDERS)):
        with suppress(OSError, NexaError):
            if home.is_symlink() or home.stat().st_uid != os.getuid():
                continue
            place = home.resolve()
            bare = {HOME: str(place)}
            known = {one.name: one for one in local_nodes(bare)}
            found = {
                name: theirs
                for name, one in known.items()
                if (theirs := environ_of(one.pid, place)) is not None
            }
            if found:
                nodes = tuple(known[name] for name in found)
                cluster = announced(bare)[0].file.cluster
                environ = next(iter(found.values()))
                yield Demo(place, environ, cluster, _with_tokens(nodes))


def environ_of(pid: int | None, home: Path) -> dict[str, str] | None:
    """The environment of a demo's node; None if the process is not one of that folder."""
    import psutil

    try:
        theirs = psutil.Process(pid).environ() if pid is not None else {}
    except psutil.Error:
        return None
    there = theirs.get(HOME)
    if theirs.get(MARK) != "1" or not there or Path(there).resolve() != home:
        return None
    return theirs


def _with_tokens(nodes: tuple[Target, ...]) -> tuple[Target, ...]:
    """One cluster has one set of tokens; a node that joined has no file of its own."""
    token = next((one.token for one in nodes if one.token), None)
    return tuple(
        Target(
            url=one.url,
            token=one.token or token,
            name=one.name,
            source=one.source,
            pid=one.pid,
            trust=one.trust,
        )
        for one in nodes
    )


def _named(demo: Demo, name: str | None) -> Target:
    there = ", ".join(one.name for one in demo.nodes)
    if name is None:
        raise Invalid(f"say which node: {there}", remedy="nexa chaos kill NODE")
    found = demo.node(name)
    if found is None:
        raise NotFound(
            f"the demo has no running node {clean(name)}; it has {there}",
            remedy="nexa chaos",
        )
    return found


# -- what is done ----------------------------------------------------------------------


def _strike(
    demo: Demo, fault: str, node: Target, options: argparse.Namespace, call: Call
) -> None:
    """Do one thing to one node, heal it, and say how long it took.

    Raises:
        Conflict: Writes would stop, and nobody said that they may.
    """
    hits, breaks = _hits(demo, node)
    if breaks and not options.anyway:
        raise Conflict(
            f"without {node.name} nothing could be written: {'; '.join(hits)}",
            remedy="add --anyway, or wait until all nodes are back: nexa chaos",
        )
    if environ_of(node.pid, demo.home) is None:
        raise NotFound(
            f"{node.name} ended meanwhile: nothing is touched", remedy="nexa chaos"
        )
    _say(call, options, fault, node.name, "; ".join(hits))
    began = time.monotonic()
    _ACTS[fault](demo, node, options)
    took = time.monotonic() - began
    _say(call, options, "healed", node.name, f"after {took:.1f} s", seconds=took)


def _kill(demo: Demo, node: Target, options: argparse.Namespace) -> None:
    """SIGKILL, no last word, its store's process with it; started again in any case."""
    assert node.pid is not None
    os.kill(node.pid, signal.SIGKILL)
    end = time.monotonic() + _GONE_S
    while exists(node.pid) and time.monotonic() < end:
        time.sleep(_BEAT_S / 4)
    try:
        time.sleep(options.down)
    finally:
        _start(demo, node)


def _stop(demo: Demo, node: Target, options: argparse.Namespace) -> None:
    """The node and its store hang, then go on; also if this command is interrupted."""
    import psutil

    assert node.pid is not None
    family = [psutil.Process(node.pid)]
    family += family[0].children(recursive=True)
    try:
        for process in family:
            process.suspend()
        time.sleep(options.down)
    finally:
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.resume()


def _restart(demo: Demo, node: Target, options: argparse.Namespace) -> None:
    stop_node(node, environ=demo.environ)
    _start(demo, node)


_ACTS: Mapping[str, Callable[[Demo, Target, argparse.Namespace], None]] = {
    "kill": _kill,
    "stop": _stop,
    "restart": _restart,
}


def _start(demo: Demo, node: Target) -> None:
    """Start it again where it was.

    Raises:
        NotFound: The demo has ended meanwhile.
        NexaError: It does not start: its own words.
    """
    if not demo.home.exists():
        raise NotFound("the demo has ended meanwhile", remedy="nexa demo --nodes 3")
    port = node.url.rpartition(":")[2]
    flags = (
        "--name",
        node.name,
        "--port",
        port,
        "--set",
        f"node.cluster={demo.cluster}",
    )
    start_node(demo.environ, flags=flags, timeout_s=BACK_S)


def _random(demo: Demo, options: argparse.Namespace, call: Call) -> int:
    """One fault after the other, until the time is over."""
    seed = options.seed
    if seed is None:
        seed = random.SystemRandom().randrange(10**6)
    chance = random.Random(seed)
    call.note(f"seed {seed}; {options.seconds:g} s; the demo in {demo.home}")
    names = sorted(one.name for one in demo.nodes)
    end = time.monotonic() + options.seconds
    while time.monotonic() < end:
        fault, name = chance.choice(FAULTS), chance.choice(names)
        rest = chance.uniform(*REST_S)
        node = find_demo(call.environ, demo.home).node(name)
        if node is not None:
            try:
                _strike(demo, fault, node, options, call)
            except Conflict as refused:
                _say(call, options, "spared", name, refused.message)
        time.sleep(max(0.0, min(rest, end - time.monotonic())))
    return 0


# -- what is told ----------------------------------------------------------------------


def _tell(demo: Demo, options: argparse.Namespace, call: Call) -> int:
    """Tell of each node what its loss would hit; nothing is done."""
    rows = [(one.name, str(one.pid), *_hits(demo, one)) for one in demo.nodes]
    if options.json:
        call.json(
            [
                {"node": name, "pid": int(pid), "hits": hits, "breaks": breaks}
                for name, pid, hits, breaks in rows
            ]
        )
        return 0
    call.table(
        ("NODE", "PID", "WITHOUT IT"),
        [(name, pid, "; ".join(hits)) for name, pid, hits, _ in rows],
        empty="no node of the demo runs",
    )
    call.note(f"the demo in {demo.home}: nexa chaos kill NODE, or nexa chaos --random")
    return 0


def _hits(demo: Demo, node: Target) -> tuple[list[str], bool]:
    """What the loss of a node does, and whether writes would stop; asked of any node."""
    for one in sorted(demo.nodes, key=lambda each: each.name == node.name):
        with suppress(NexaError), Rest(one) as rest:
            view = topology(rest.get("/v1/cluster", Cluster))
            told = loss(view, (), node.name)
            if told is not None:
                stops = told.breaks or told.alone or told.broken
                return [sentence.text for sentence in loss_sentences(told)], stops
    return ["nobody can say what that hits"], True


def _say(
    call: Call,
    options: argparse.Namespace,
    what: str,
    node: str,
    words: str,
    **more: float,
) -> None:
    if options.json:
        call.json({"what": what, "node": node, "words": words, **more})
        return
    call.line(f"{time.strftime('%H:%M:%S')}  {what} {clean(node)}: {clean(words, 500)}")
    call.out.flush()
