"""Find the node a command or a console should talk to.

In this order: what the operator names (`--attach`, `--context`), `NEXA_URL`, a node of
this machine, the current context. A node of this machine is one whose `node.json` names
a process that lives and started when the file says, since a pid alone is used again.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from nexa_node.contract import places
from nexa_node.contract.errors import Invalid
from nexa_node.contract.nodes import NodeFile
from nexa_tui.client.contexts import (
    find_context,
    read_contexts,
    trust_of_context,
)
from nexa_tui.client.places import base_folders
from nexa_tui.client.read_only import wanted
from nexa_tui.client.secrets import read_token
from nexa_tui.client.trust import CERTIFICATE_VARIABLE, SYSTEM, Trust, with_environment

_START_TOLERANCE_S = 2.0
_EXITING = 0x4
"""PF_EXITING of the kernel's `sched.h`: killed, and giving back what it holds."""


@dataclass(frozen=True, slots=True)
class Login:
    """How to log in anew when the token has ended."""

    sign: str
    """A file with an Ed25519 key."""
    id: str
    """Of the token it was registered for."""
    until: datetime | None
    """When the token ends."""


@dataclass(frozen=True, slots=True)
class Target:
    """A node, how to reach it and by which right."""

    url: str
    token: str | None
    name: str
    source: str
    """How it was found, in words: for errors and the attach list."""
    pid: int | None = None
    """Of a node on this machine."""
    read_only: bool = False
    production: bool = False
    trust: Trust = SYSTEM
    """By what it is known, and what is shown to it, where it speaks TLS."""
    login: Login | None = None


@dataclass(frozen=True, slots=True)
class LocalNode:
    """A node's announcement on this machine, and whether its process lives."""

    file: NodeFile
    alive: bool
    folder: Path


def discover(
    environ: Mapping[str, str],
    *,
    context: str | None = None,
    attach: str | None = None,
    name: str | None = None,
) -> Target | None:
    """Choose the node to talk to; None if there is none anywhere.

    Args:
        environ: For `NEXA_HOME`, `NEXA_URL`, `NEXA_TOKEN`, `NEXA_TOKEN_FILE` and the
            files of TLS: `NEXA_CA_FILE`, `NEXA_CERT_FILE`, `NEXA_KEY_FILE`.
        context: A context's name, given by the operator.
        attach: A URL, given by the operator.
        name: Only this node of this machine.

    Raises:
        NotFound: The named context doesn't exist.
        Invalid: A file is broken, or a token's file is open to others.
    """
    found = _discovered(environ, context, attach, name)
    if found is not None and wanted(environ):
        return replace(found, read_only=True)
    return found


def _discovered(
    environ: Mapping[str, str],
    context: str | None,
    attach: str | None,
    name: str | None,
) -> Target | None:
    if attach:
        return _named(environ, normalize(attach), attach, f"--attach {attach}")
    if context:
        return _from_context(environ, context, source=f"--context {context}")
    if environ.get("NEXA_URL") and name is None:
        url = normalize(environ["NEXA_URL"])
        return _named(environ, url, url, "NEXA_URL")
    for target in local_nodes(environ):
        if name is None or target.name == name:
            return target
    if name is not None:
        return None
    current = read_contexts(environ).current
    return (
        _from_context(environ, current, source="the current context")
        if current
        else None
    )


def local_nodes(environ: Mapping[str, str]) -> list[Target]:
    """List the nodes that run on this machine, by name."""
    return [
        Target(
            url=node.file.url,
            token=_token(environ)
            or _first_token(environ, node.folder)
            or _kept_token(environ, node.file.url),
            name=node.file.name,
            source=f"a node on this machine (pid {node.file.pid})",
            pid=node.file.pid,
            trust=with_environment(
                Trust(ca=node.file.trust, by_name=node.file.trust_by_name), environ
            ),
        )
        for node in announced(environ)
        if node.alive
    ]


def sibling(environ: Mapping[str, str], gone: Target) -> Target | None:
    """A living node of this machine in the cluster of one that died without a word.

    It takes the same tokens; without a file of its own, that of the other.
    """
    known = announced(environ)
    cluster = next(
        (one.file.cluster for one in known if one.file.name == gone.name), None
    )
    same = {one.file.name for one in known if one.file.cluster == cluster}
    for other in local_nodes(environ):
        if cluster is not None and other.name in same and other.name != gone.name:
            return replace(other, token=other.token or gone.token)
    return None


def announced(environ: Mapping[str, str]) -> list[LocalNode]:
    """List every node that announced itself on this machine, dead ones included."""
    _, state = base_folders(environ)
    found: list[LocalNode] = []
    for path in sorted(Path(places.nodes(state)).glob("*/node.json")):
        try:
            file = msgspec.json.decode(path.read_bytes(), type=NodeFile)
        except FileNotFoundError:
            continue
        except (OSError, msgspec.DecodeError) as error:
            raise Invalid(
                f"{path} can't be read: {error}", remedy=f"rm {path}"
            ) from error
        found.append(LocalNode(file=file, alive=_lives(file), folder=path.parent))
    return found


def normalize(url: str) -> str:
    """Make a base URL of what an operator types: a scheme and a port are added."""
    text = url.strip()
    if "://" not in text:
        text = f"http://{text}"
    for stream, web in (("ws://", "http://"), ("wss://", "https://")):
        if text.startswith(stream):
            text = web + text.removeprefix(stream)
    scheme, _, rest = text.partition("://")
    rest = rest.rstrip("/")
    if scheme not in {"http", "https"} or not _names_a_host(text):
        raise Invalid(
            f"'{url}' is no address of a node", remedy="give http://HOST:6392"
        )
    host = rest.partition("/")[0]
    has_port = host.rpartition("]")[2].rfind(":") >= 0
    if scheme == "http" and not has_port:
        rest = rest.replace(host, f"{host}:{places.DEFAULT_PORT}", 1)
    return f"{scheme}://{rest}"


def _names_a_host(url: str) -> bool:
    """Whether a URL has a host, and a port that is one if it has any."""
    try:
        parts = urlsplit(url)
        plain = url.isprintable() and " " not in url
        return plain and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _from_context(environ: Mapping[str, str], name: str, *, source: str) -> Target:
    found, token = find_context(environ, name)
    trust = with_environment(trust_of_context(environ, name), environ)
    return Target(
        url=normalize(found.url),
        token=_token(environ) or token,
        name=name,
        source=source,
        read_only=found.read_only,
        production=found.production,
        trust=trust,
        login=Login(found.sign, found.id, found.until) if found.sign else None,
    )


def _kept_token(environ: Mapping[str, str], url: str) -> str | None:
    """The token of a context for a node of this machine whose first one is used up."""
    if environ.get(CERTIFICATE_VARIABLE):
        return None
    known = read_contexts(environ)
    names = sorted(known.context, key=lambda one: (one != known.current, one))
    for name in names:
        if known.context[name].url == url:
            return find_context(environ, name)[1]
    return None


def _named(environ: Mapping[str, str], url: str, name: str, source: str) -> Target:
    """A node somebody named; one of this machine is known by its own files."""
    local = next((one for one in local_nodes(environ) if one.url == url), None)
    return Target(
        url=url,
        token=_token(environ) or (local.token if local else None),
        name=name,
        source=source,
        trust=local.trust if local else with_environment(SYSTEM, environ),
    )


def _first_token(environ: Mapping[str, str], folder: Path) -> str | None:
    """The admin's token in a node's folder; not for one who shows a certificate."""
    if environ.get(CERTIFICATE_VARIABLE):
        return None
    return read_token(folder / "admin.token")


def _token(environ: Mapping[str, str]) -> str | None:
    if environ.get("NEXA_TOKEN"):
        return environ["NEXA_TOKEN"]
    path = environ.get("NEXA_TOKEN_FILE")
    return read_token(Path(path)) if path else None


def _lives(file: NodeFile) -> bool:
    """Compare pid and start time, from /proc where there is one: psutil costs 20 ms."""
    stat = Path(f"/proc/{file.pid}/stat")
    if not Path("/proc/self/stat").exists():
        return _lives_by_psutil(file)
    try:
        fields = stat.read_bytes().rpartition(b")")[2].split()
        boot = _boot_time()
    except (OSError, ValueError):
        return False
    if fields[0] in {b"Z", b"X"} or int(fields[6]) & _EXITING:
        return False
    started = boot + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return abs(started - file.pid_started) < _START_TOLERANCE_S


def _boot_time() -> float:
    with Path("/proc/stat").open("rb") as lines:
        for line in lines:
            if line.startswith(b"btime "):
                return float(line.split()[1])
    raise ValueError("no btime in /proc/stat")


def _lives_by_psutil(file: NodeFile) -> bool:
    import psutil

    try:
        started = psutil.Process(file.pid).create_time()
    except psutil.Error:
        return False
    return abs(started - file.pid_started) < _START_TOLERANCE_S
