"""What a backup is made of, whether one is whole, and where it may be restored.

No I/O: the archive's bytes are read elsewhere and told here entry by entry.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from nexa_node.contract.errors import Conflict, Invalid
from nexa_node.contract.tasks import FINISHED, Task
from nexa_node.core.redriving import REDRIVEN

CLOCKS = timedelta(seconds=60)
"""By how much the clocks of nodes may differ."""


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What of a stream can be counted, to compare it with what it was."""

    messages: int = 0
    bytes: int = 0
    first_seq: int = 0
    last_seq: int = 0
    consumers: int = 0


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """A stream as it was at one moment; JSON can carry it."""

    name: str
    config: dict[str, Any]
    """As the server told it."""
    state: dict[str, Any]
    """As the server told it."""

    @property
    def counts(self) -> Counts:
        """The state's figures."""
        told = {key: self.state.get(key) for key in Counts.__struct_fields__}
        told["consumers"] = self.state.get("consumer_count")
        return Counts(**{key: value for key, value in told.items() if value})

    @property
    def ages(self) -> bool:
        """Whether messages vanish by themselves with time."""
        return bool(self.config.get("max_age") or self.config.get("allow_msg_ttl"))

    @property
    def is_queue(self) -> bool:
        """Whether it is a work queue: its consumers' places are worth keeping."""
        return self.config.get("retention") == "workqueue"


FORMAT = 1
"""Of the archives that are written; others are not read."""
HEAD_NAME, MANIFEST_NAME = "nexa-backup.json", "manifest.json"
SNAPSHOTS, TAILS = "streams/", "tails/"
"""Before a stream's name: its snapshot, and what was written while that was taken."""
DAMAGED = "this backup is damaged: "


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The first entry of an archive: whether to read on."""

    format: int
    nexa: str
    """The version that wrote it."""
    id: str
    cluster: str
    cluster_id: str
    node: str
    began: datetime
    """Nothing in it is older than the store was then."""


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of an archive."""

    name: str
    size: int
    sha256: str


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One stream in an archive."""

    stream: Described
    removed: int
    """Messages removed while its snapshot was taken; it may have so many fewer."""
    snapshot: Piece
    tail: Piece | None = None
    """What was written while the snapshot was taken, where that replaces others."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The last entry of an archive."""

    head: Head
    ended: datetime
    parts: tuple[Part, ...]
    whole: str
    """SHA-256 of all bytes of the archive before this entry."""

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """Every entry between the first and the last, in order."""
        found: list[Piece] = []
        for part in self.parts:
            found.append(part.snapshot)
            if part.tail is not None:
                found.append(part.tail)
        return tuple(found)

    @property
    def messages(self) -> int:
        """As many as there were when it was taken."""
        return sum(part.stream.counts.messages for part in self.parts)


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """What a store has that a restore would replace."""

    tasks: int = 0
    queued: int = 0
    messages: int = 0
    objects: int = 0
    clustered: bool = False
    """Whether other nodes have it, too."""


def seal(manifest: Manifest) -> bytes:
    """Write a manifest so that no byte of it can change unnoticed."""
    text = msgspec.json.encode(manifest)
    return hashlib.sha256(text).hexdigest().encode() + b"\n" + text


def unseal(content: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        Invalid: It is not as it was written.
    """
    check, _, text = content.partition(b"\n")
    if hashlib.sha256(text).hexdigest().encode() != check:
        raise Invalid(f"{DAMAGED}its list of parts is not as it was written")
    try:
        return msgspec.json.decode(text, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{DAMAGED}its list of parts can't be read: {error}") from error


def read_head(content: bytes) -> Head:
    """Read an archive's first entry.

    Raises:
        Invalid: It was written by a nexa that writes other archives, or by none.
    """
    try:
        told = msgspec.json.decode(content, type=_Format)
        if told.format != FORMAT:
            raise Invalid(
                f"this backup has format {told.format} (nexa {told.nexa[:40]}), and "
                f"this nexa reads format {FORMAT}",
                remedy="restore it with the nexa that wrote it, then update that",
            )
        return msgspec.json.decode(content, type=Head)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{DAMAGED}its head can't be read: {error}") from error


def check_whole(
    head: Head, seen: Sequence[Piece], whole: str, manifest: Manifest
) -> None:
    """Hold what an archive had against its manifest.

    Args:
        head: Its first entry.
        seen: The entries between the first and the last, as they came.
        whole: SHA-256 of all bytes before the manifest.
        manifest: Its last entry.

    Raises:
        Invalid: It is not whole; says what is wrong.
    """
    wanted = {piece.name: piece for piece in manifest.pieces}
    found = {piece.name: piece for piece in seen}
    for name in wanted:
        if name not in found:
            raise Invalid(f"{DAMAGED}{name} is missing")
    for name, piece in found.items():
        if name not in wanted:
            raise Invalid(f"{DAMAGED}nobody knows of its {name[:80]}")
        if piece != wanted[name]:
            raise Invalid(f"{DAMAGED}{name} is not as it was written")
    if tuple(seen) != manifest.pieces:
        raise Invalid(f"{DAMAGED}its parts do not stand in the order they were written")
    if head != manifest.head or whole != manifest.whole:
        raise Invalid(f"{DAMAGED}between its parts it is not as it was written")


def check_target(contents: Contents) -> None:
    """Refuse to restore over what is there.

    Raises:
        Conflict: There are other nodes, or there is data.
    """
    if contents.clustered:
        raise Conflict(
            "a backup is restored into a node that is alone, and this one is in a"
            " cluster",
            remedy="start a new node, restore there, then let the others join it",
        )
    there = [
        f"{count:,} {what}"
        for count, what in (
            (contents.tasks, "tasks"),
            (contents.queued, "queued tasks"),
            (contents.messages, "messages"),
            (contents.objects, "parts of large objects"),
        )
        if count
    ]
    if there:
        raise Conflict(
            f"a backup is restored into an empty node, and this one has "
            f"{', '.join(there)}",
            remedy="start a new node in another folder (NEXA_HOME) and restore there",
        )


def over(kept: Sequence[str], keep: int) -> tuple[str, ...]:
    """Say which backups to forget, the oldest first, so that `keep` stay.

    Their names begin with the time. At least one always stays.
    """
    newest_last = sorted(kept)
    return tuple(newest_last[: max(0, len(newest_last) - max(1, keep))])


def needs_queueing(task: Task, began: datetime) -> bool:
    """Say whether a restored task's message may be missing in the restored queue.

    The queue is taken first, so it has the message of everything that was queued
    before the backup began, unless the record says that it is finished.
    """
    if task.status in FINISHED:
        return False
    queued = [task.submitted]
    queued += [entry.started for entry in task.history if entry.outcome == REDRIVEN]
    return max(queued) >= began - CLOCKS


class _Format(msgspec.Struct, frozen=True, kw_only=True):
    format: int
    nexa: str = ""
