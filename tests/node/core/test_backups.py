"""What may be restored where, what is kept, and what must be queued again."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from nexa_node.contract.errors import Conflict, Invalid
from nexa_node.contract.ids import AgentId
from nexa_node.contract.tasks import Attempt
from nexa_node.core import backups
from nexa_node.core.backups import Contents, Described, Head, Manifest, Part, Piece
from tests import builders

BEGAN = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
HEAD = Head(
    format=1, nexa="1", id="b", cluster="a", cluster_id="c", node="n", began=BEGAN
)


def part(name: str, sha256: str = "0") -> Part:
    return Part(
        stream=Described(name=name, config={}, state={"messages": 2}),
        removed=0,
        snapshot=Piece(name=f"streams/{name}", size=1, sha256=sha256),
        tail=Piece(name=f"tails/{name}", size=1, sha256=sha256),
    )


MANIFEST = Manifest(head=HEAD, ended=BEGAN, parts=(part("A"), part("B")), whole="w")


def test_figures_are_read_from_what_a_server_told() -> None:
    told = Described(
        name="A",
        config={"retention": "workqueue", "max_age": 0},
        state={"messages": 3, "bytes": 9, "first_seq": 2, "last_seq": 4},
    )
    assert msgspec.structs.astuple(told.counts) == (3, 9, 2, 4, 0)
    assert told.is_queue
    assert not told.ages
    assert Described(name="A", config={"allow_msg_ttl": True}, state={}).ages


def test_a_manifest_is_read_as_it_was_written() -> None:
    assert backups.unseal(backups.seal(MANIFEST)) == MANIFEST
    assert MANIFEST.messages == 4


@pytest.mark.parametrize("content", [b"", b"x\n{}", b"{}"])
def test_a_manifest_that_was_changed_is_refused(content: bytes) -> None:
    with pytest.raises(Invalid, match="list of parts is not as it was"):
        backups.unseal(content)


def test_a_manifest_with_a_right_sum_and_no_sense_is_refused() -> None:
    import hashlib

    text = b'{"head": 7}'
    content = hashlib.sha256(text).hexdigest().encode() + b"\n" + text
    with pytest.raises(Invalid, match="list of parts can't be read"):
        backups.unseal(content)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"format": 1}', b"\xff\xfe"])
def test_a_head_without_sense_is_refused(content: bytes) -> None:
    with pytest.raises(Invalid, match="head can't be read"):
        backups.read_head(content)


def test_what_is_whole_passes() -> None:
    backups.check_whole(HEAD, MANIFEST.pieces, "w", MANIFEST)


def test_a_head_of_another_backup_is_refused() -> None:
    other = msgspec.structs.replace(HEAD, id="other")
    with pytest.raises(Invalid, match="between its parts"):
        backups.check_whole(other, MANIFEST.pieces, "w", MANIFEST)


@pytest.mark.parametrize(
    "contents",
    [Contents(tasks=1), Contents(queued=1), Contents(messages=1), Contents(objects=1)],
)
def test_nothing_is_restored_over_data(contents: Contents) -> None:
    with pytest.raises(Conflict, match="this one has 1 ") as refused:
        backups.check_target(contents)
    assert "NEXA_HOME" in (refused.value.remedy or "")


def test_an_empty_node_that_is_alone_is_taken() -> None:
    backups.check_target(Contents())
    with pytest.raises(Conflict, match="alone"):
        backups.check_target(Contents(clustered=True))


@pytest.mark.parametrize(
    ("keep", "gone"),
    [(2, ("1", "2")), (4, ()), (9, ()), (1, ("1", "2", "3")), (0, ("1", "2", "3"))],
)
def test_the_newest_backups_stay(keep: int, gone: tuple[str, ...]) -> None:
    assert backups.over(("3", "1", "4", "2"), keep) == gone


@pytest.mark.parametrize(
    ("status", "submitted_s", "redriven_s", "needs"),
    [
        ("pending", -3600, None, False),
        ("pending", 1, None, True),
        ("pending", -30, None, True),  # the clocks of nodes differ
        ("running", 1, None, True),
        ("completed", 1, None, False),
        ("pending", -3600, 1, True),
        ("pending", -7200, -3600, False),
    ],
)
def test_what_was_queued_after_the_queue_was_taken_is_queued_again(
    status: str, submitted_s: float, redriven_s: float | None, needs: bool
) -> None:
    history: tuple[Attempt, ...] = ()
    if redriven_s is not None:
        when = BEGAN + timedelta(seconds=redriven_s)
        history = (
            Attempt(
                attempt=0,
                claim_epoch=1,
                agent=AgentId("op"),
                node="n",
                started=when,
                outcome="redriven",
            ),
        )
    task = builders.task(
        status=status,
        submitted=BEGAN + timedelta(seconds=submitted_s),
        history=history,
    )
    assert backups.needs_queueing(task, BEGAN) == needs
