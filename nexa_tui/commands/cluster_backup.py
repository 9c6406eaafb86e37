"""`nexa cluster backup FILE` and `restore FILE`: all of a cluster as one archive.

A backup is written beside its place and takes it only when all of it came and its own
manifest agrees; ctrl-C, a full disk or a node that ends leave nothing behind. A damaged
archive is refused here, before the node is asked to touch anything.
"""

import argparse
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from nexa_node.contract.cluster import Growth
from nexa_node.contract.errors import Conflict, Invalid, NexaError, Unavailable
from nexa_node.contract.nodes import Cluster, NodeStatus
from nexa_tui.client import archive, sealing
from nexa_tui.client.rest import Cut, NoNode, Rest
from nexa_tui.commands.arguments import Parser
from nexa_tui.commands.asking import confirm
from nexa_tui.commands.cluster_change import check
from nexa_tui.commands.output import Call
from nexa_tui.commands.planning import add_plan_options, check_options, tell_plan
from nexa_tui.commands.progress import Progress, human
from nexa_tui.commands.reach import add_target_options, find, reach

_RESTORE = "/v1/cluster/restore"
_CHUNK = 256 * 1024
_OWN = 0o600
_AGAIN_S = 60.0
"""For a node that was filled to start anew."""
_LOOK_S = 0.1


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """`nexa cluster backup --json`: what is in the file."""

    file: str
    bytes: int
    """Of the file, as it is written."""
    sealed: bool
    contents: archive.Contents


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """`nexa cluster restore --json`: what the node has now."""

    file: str
    growth: Growth | None
    contents: archive.Contents


def backup(arguments: list[str], call: Call) -> int:
    """Write all that the cluster has to a file."""
    parser = Parser(
        "cluster backup",
        "All that the cluster has, as one archive with a checksum. Work goes on\n"
        "meanwhile. It holds everything, tokens' hashes too: mode 0600.",
        epilog="Back again, into an empty node: nexa cluster restore FILE",
    )
    parser.add_argument("file", metavar="FILE", type=Path)
    parser.add_argument("--force", action="store_true", help="overwrite FILE")
    _add_key(parser)
    add_target_options(parser)
    options = parser.parse_args(arguments)
    key = _key(options)
    _refuse_overwriting(options.file, force=options.force)
    with reach(options, call) as node:
        kept = _keep(node, options, key, call)
    if options.json:
        call.json(kept)
        return 0
    call.line(f"{options.file}: {human(kept.bytes)}, {archive.words(kept.contents)}")
    if key is not None:
        call.note("without the key file it can't be opened: keep both, and apart")
    return 0


def restore(arguments: list[str], call: Call) -> int:
    """Fill an empty node from an archive."""
    parser = Parser(
        "cluster restore",
        "Fill an empty node from an archive of nexa cluster backup. The archive is\n"
        "checked before anything is touched; a node that has data refuses.",
    )
    parser.add_argument("file", metavar="FILE", type=Path)
    add_plan_options(parser)
    _add_key(parser)
    add_target_options(parser)
    options = parser.parse_args(arguments)
    check_options(options)
    contents = _look(options, call)
    if options.dry_run:
        _tell(options, contents, None, call, did="is whole")
        _tell_plan(options, call)
        return 0
    with reach(options, call) as node:
        query: dict[str, Any] = {"plan": options.plan} if options.plan else {}
        if not (options.yes or options.plan):
            cluster = node.get("/v1/cluster", Cluster)
            planned = node.plan("POST", _RESTORE)
            what = f"fill cluster {cluster.name} at {node.target.url}"
            effects = (f"with {archive.words(contents)}", *planned.effects)
            confirm(what, effects, call)
            query = {"plan": planned.id}
        before = node.get("/v1/node", NodeStatus).started
        growth = _send(node, options, query, call)
        _await_again(node, before)
    _tell(options, contents, growth, call, did="is restored")
    return 0


def _tell_plan(options: argparse.Namespace, call: Call) -> None:
    """Say what a node that can be reached would make of it; whole it is anyway."""
    if options.json:
        return
    try:
        target = find(options, call)
    except NoNode:
        return
    with Rest(target) as node:
        planned = node.plan("POST", _RESTORE)
    words = ("nexa", "cluster", "restore", str(options.file))
    tell_plan(planned, options, call, words)


def _await_again(node: Rest, before: datetime | None) -> None:
    """Wait until a node that starts anew after it was filled answers again.

    Raises:
        NoNode: It did not come back in time.
    """
    end = time.monotonic() + _AGAIN_S
    while True:
        try:
            status = node.get("/v1/node", NodeStatus)
            if status.started != before and status.state == "running":
                return
        except NexaError as error:
            late = error
        else:
            late = NoNode(
                f"the node at {node.target.url} was filled, and did not start anew",
                remedy="nexa node restart",
            )
        if time.monotonic() > end:
            raise late
        time.sleep(_LOOK_S)


def _add_key(parser: Parser) -> None:
    parser.add_argument(
        "--key-file",
        type=Path,
        metavar="F",
        help="seal it with this secret of 32 bytes or more, mode 0600",
    )


def _key(options: argparse.Namespace) -> bytes | None:
    return None if options.key_file is None else sealing.read_key(options.key_file)


def _refuse_overwriting(path: Path, *, force: bool) -> None:
    if path.is_dir():
        raise Invalid(f"{path} is a folder", remedy=f"nexa cluster backup {path}/FILE")
    if path.exists() and not force:
        raise Conflict(
            f"{path} is there already", remedy="another name, or --force to overwrite"
        )


def _keep(
    node: Rest, options: argparse.Namespace, key: bytes | None, call: Call
) -> Kept:
    """Receive, check, write; the file is there when all of it is, or not at all."""
    path: Path = options.file
    about = _size_of(node)
    checked = archive.Checked()
    with (
        _beside(path) as (half, descriptor),
        Progress(call, quiet=options.json) as bar,
        bar.following(node.target) as spoke,
    ):
        told = _noticed(node.download("/v1/cluster/backup"), spoke)
        plain = checked.passing(_plain(told, options))
        seen = _counted(plain, bar, "backup", about)
        sealed = seen if key is None else _sealed(seen, key)
        size = _write(descriptor, sealed, half)
        contents = checked.contents()
        Path(half).replace(path)
        _sync_folder(path)
    return Kept(file=str(path), bytes=size, sealed=key is not None, contents=contents)


def _sealed(chunks: Iterable[bytes], key: bytes) -> Iterator[bytes]:
    return sealing.seal(chunks, key, secrets.token_bytes(sealing.SALT))


def _size_of(node: Rest) -> int | None:
    """About how much it will be, as the streams say; None if they don't."""
    cluster = node.get("/v1/cluster", Cluster)
    return sum(stream.bytes for stream in cluster.streams) or None


class _beside:  # noqa: N801  used as a function, with `with`
    """A file beside its place that is gone afterwards, unless it was moved there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> tuple[str, int]:
        folder = self._path.parent
        try:
            self._descriptor, self._half = tempfile.mkstemp(
                prefix=f".{self._path.name}.", suffix=".part", dir=folder
            )
        except OSError as error:
            raise Unavailable(
                f"nothing can be written in {folder}: {error.strerror}",
                remedy=f"mkdir -p {folder}; or another place",
            ) from error
        os.fchmod(self._descriptor, _OWN)
        return self._half, self._descriptor

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
        with suppress(FileNotFoundError):
            Path(self._half).unlink()


def _noticed(chunks: Iterable[bytes], spoke: Callable[[], None]) -> Iterator[bytes]:
    """Hand on, and say when the first piece came."""
    for chunk in chunks:
        spoke()
        yield chunk


def _counted(
    chunks: Iterable[bytes], bar: Progress, what: str, total: int | None
) -> Iterator[bytes]:
    done = 0
    for chunk in chunks:
        done += len(chunk)
        bar.bytes(what, done, total)
        yield chunk


def _write(descriptor: int, chunks: Iterable[bytes], where: str) -> int:
    size = 0
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            for chunk in chunks:
                size += file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise Unavailable(
            f"{where} can't be written: {error.strerror}",
            remedy=f"free space there: df -h {Path(where).parent}",
        ) from error
    return size


def _sync_folder(path: Path) -> None:
    """Have the name survive a loss of power, where folders can be synced."""
    with suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _look(options: argparse.Namespace, call: Call) -> archive.Contents:
    """Read all of the archive and check it, before anybody is asked anything.

    Raises:
        Invalid: It is damaged, cut off, sealed with another key, or none at all.
    """
    path: Path = options.file
    checked = archive.Checked()
    try:
        with Progress(call, quiet=options.json) as bar:
            size = path.stat().st_size
            plain = _plain(_counted(_read(path), bar, "checking", size), options)
            for _ in checked.passing(plain):
                pass
            return checked.contents()
    except OSError as error:
        raise Invalid(
            f"{path} can't be read: {error.strerror}", remedy="nexa cluster backup FILE"
        ) from error
    except Invalid as error:
        raise Invalid(
            f"{path} is refused, nothing was touched: {error.message}",
            remedy=error.remedy or "another backup",
        ) from error


def _send(
    node: Rest, options: argparse.Namespace, query: dict[str, Any], call: Call
) -> Growth | None:
    """Send the archive, and follow what the node makes of it."""
    path: Path = options.file
    growth: Growth | None = None
    with Progress(call, quiet=options.json) as bar:
        size = path.stat().st_size
        plain = _plain(_counted(_read(path), bar, "sending", size), options)
        try:
            with bar.following(node.target) as spoke:
                for growth in node.upload(_RESTORE, plain, Growth, query=query):
                    spoke()
                    bar.growth(growth)
                    check(growth)
        except Cut as error:
            raise NexaError(
                f"the node broke off while it was filled: {error.message}",
                remedy="nexa cluster status; then again, into an empty node",
            ) from error
    return growth


def _plain(chunks: Iterable[bytes], options: argparse.Namespace) -> Iterator[bytes]:
    """What is in the archive, opened with the key where it is sealed.

    Raises:
        Invalid: It is sealed, and there is no key.
    """
    source = iter(chunks)
    head = b""
    while len(head) < len(sealing.MAGIC) and (more := next(source, b"")):
        head += more
    whole = chain((head,), source)
    if not sealing.is_sealed(head):
        return whole
    key = _key(options)
    if key is None:
        raise Invalid("it is sealed with a key", remedy="give its --key-file")
    return sealing.unseal(whole, key)


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _tell(
    options: argparse.Namespace,
    contents: archive.Contents,
    growth: Growth | None,
    call: Call,
    *,
    did: str,
) -> None:
    if options.json:
        call.json(Restored(file=str(options.file), growth=growth, contents=contents))
    else:
        call.line(f"{options.file} {did}: {archive.words(contents)}")
