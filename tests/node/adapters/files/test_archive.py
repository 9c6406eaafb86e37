"""Archives: what is whole is read, what is not is refused with its own words."""

import asyncio
import contextlib
import os
import stat
import subprocess
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from nexa_node.adapters.files import archive
from nexa_node.adapters.files.archive import (
    Spool,
    open_spool,
    read_archive,
    write_archive,
)
from nexa_node.adapters.files.sealing import read_key, seal, unseal
from nexa_node.adapters.files.shelf import Shelf
from nexa_node.contract.errors import Invalid, Unavailable
from nexa_node.core.backups import FORMAT, Described, Head, Manifest, Part, Piece

BEGAN = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
HEAD = Head(
    format=FORMAT,
    nexa="1.0.0",
    id="b1",
    cluster="alpha",
    cluster_id="c1",
    node="one",
    began=BEGAN,
)
CONTENTS = {
    "streams/NX_TASKQ": b"",
    "streams/KV_nx_tasks": bytes(range(256)) * 9,
    "tails/KV_nx_tasks": b"late",
    "streams/NX_INBOX": b"x" * 512,
}


async def pieces(content: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def joined(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


async def made(folder: Path, head: Head = HEAD) -> tuple[bytes, Manifest]:
    spool = open_spool(folder)
    found: dict[str, Piece] = {}
    for name, content in CONTENTS.items():
        found[name] = await spool.write(name, pieces(content))
    parts = tuple(
        Part(
            stream=Described(name=name[8:], config={}, state={"messages": 3}),
            removed=0,
            snapshot=found[name],
            tail=found.get(f"tails/{name[8:]}"),
        )
        for name in CONTENTS
        if name.startswith("streams/")
    )
    draft = Manifest(head=head, ended=BEGAN, parts=parts, whole="")
    content = await joined(write_archive(spool, draft))
    await spool.close()
    return content, draft


def refusal(folder: Path, content: bytes) -> str:
    """Read it; in which words it is refused."""

    async def read() -> None:
        spool = open_spool(folder)
        try:
            await read_archive(pieces(content), spool)
        finally:
            await spool.close()

    with pytest.raises(Invalid) as refused:
        asyncio.run(read())
    return refused.value.message


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return asyncio.run(made(tmp_path_factory.mktemp("made")))[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("read")


@pytest.mark.parametrize("size", [1, 7, 512, 100_000])
async def test_what_was_written_is_read(tmp_path: Path, size: int) -> None:
    content, draft = await made(tmp_path)
    spool = open_spool(tmp_path)

    manifest = await read_archive(pieces(content, size), spool)

    assert msgspec.structs.replace(manifest, whole="") == draft
    assert manifest.messages == 9
    for name, part in CONTENTS.items():
        assert await joined(spool.read(name)) == part
    await spool.close()
    assert list(tmp_path.iterdir()) == []


async def test_an_archive_is_a_tar_that_anybody_can_list(tmp_path: Path) -> None:
    content, _ = await made(tmp_path)
    path = tmp_path / "a.tar"
    path.write_bytes(content)
    process = await asyncio.create_subprocess_exec(
        "tar", "tf", path, stdout=subprocess.PIPE
    )
    listed, _ = await process.communicate()
    assert listed.decode().split() == [
        "nexa-backup.json",
        *CONTENTS,
        "manifest.json",
    ]


@settings(max_examples=400, deadline=None)
@given(at=st.integers(min_value=0), flip=st.integers(min_value=1, max_value=255))
def test_no_byte_can_change_unnoticed(
    whole: bytes, folder: Path, at: int, flip: int
) -> None:
    at %= len(whole)
    bad = whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :]
    words = refusal(folder, bad)
    assert any(
        known in words for known in ("is damaged: ", "is no backup", "has format")
    )
    assert not list(folder.iterdir())


@settings(max_examples=60, deadline=None)
@given(at=st.integers(min_value=0))
def test_whatever_is_cut_off_is_refused(whole: bytes, folder: Path, at: int) -> None:
    words = refusal(folder, whole[: at % len(whole)])
    assert "ends in the middle" in words or "is no backup" in words


def entries(content: bytes) -> list[bytes]:
    """Cut an archive into its entries; the last is its end."""
    found: list[bytes] = []
    at = 0
    while any(content[at : at + 512]):
        size = int(content[at + 124 : at + 135], 8)
        end = at + 512 + (size + 511) // 512 * 512
        found.append(content[at:end])
        at = end
    return [*found, content[at:]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda e: [e[0], e[2], e[1], *e[3:]], "do not stand in the order"),
        (lambda e: [e[0], *e[2:]], "streams/NX_TASKQ is missing"),
        (lambda e: [*e[:2], e[1], *e[2:]], "streams/NX_TASKQ twice"),
        (lambda e: [e[0], e[0], *e[1:]], "a second head"),
        (lambda e: e[1:], "no backup of nexa"),
        (lambda e: [*e[:-1], e[-1] + b"\0"], "behind its end"),
        (lambda e: [*e[:-1], e[-1][:-1] + b"x"], "behind its end"),
        (lambda e: [*e[:-2], e[-1]], "can't be read"),
        (lambda e: [b"PK\3\4" + bytes(2000)], "no backup of nexa"),
        (lambda e: [], "no backup of nexa"),
        (lambda e: [b"short"], "no backup of nexa"),
    ],
)
def test_each_kind_of_damage_has_its_words(
    whole: bytes,
    folder: Path,
    change: Callable[[list[bytes]], list[bytes]],
    words: str,
) -> None:
    assert words in refusal(folder, b"".join(change(entries(whole))))


def test_a_part_nobody_knows_of_is_refused(whole: bytes, folder: Path) -> None:
    parts = entries(whole)
    extra = archive._header("streams/../../etc/passwd", 3) + archive._padded(b"abc")
    words = refusal(folder, b"".join([*parts[:2], extra, *parts[2:]]))
    assert "nobody knows of its streams/../../etc/passwd" in words


def test_a_part_of_another_backup_is_refused(whole: bytes, folder: Path) -> None:
    parts = entries(whole)
    parts[2] = archive._header("streams/KV_nx_tasks", 3) + archive._padded(b"abc")
    assert "streams/KV_nx_tasks is not as it was" in refusal(folder, b"".join(parts))


async def test_a_newer_format_is_named(tmp_path: Path) -> None:
    newer = msgspec.structs.replace(HEAD, format=FORMAT + 1, nexa="9.9")
    content, _ = await made(tmp_path, newer)
    with pytest.raises(Invalid, match=r"format 2 \(nexa 9\.9\), and this nexa reads"):
        await read_archive(pieces(content), open_spool(tmp_path))


def test_a_head_that_is_too_large_is_not_even_read(folder: Path) -> None:
    content = archive._header("nexa-backup.json", 10**12)
    assert "its description has 1,000,000,000,000 bytes" in refusal(folder, content)


# -- sealed --------------------------------------------------------------------

KEY = b"k" * 44


async def sealed(content: bytes, size: int = 30_000) -> bytes:
    return await joined(seal(pieces(content, size), KEY))


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 200_000])
async def test_what_was_sealed_is_opened_with_the_key(size: int) -> None:
    content = os.urandom(size)
    closed = await sealed(content)
    assert content == await joined(unseal(pieces(closed, 999), KEY))
    assert size < 16 or content[:16] not in closed


async def test_what_was_never_sealed_goes_through(whole: bytes) -> None:
    assert await joined(unseal(pieces(whole, 5), KEY)) == whole
    assert await joined(unseal(pieces(b"abc"), None)) == b"abc"


async def test_another_key_opens_nothing() -> None:
    closed = await sealed(b"secret")
    with pytest.raises(Invalid, match="another key"):
        await joined(unseal(pieces(closed), b"j" * 44))
    with pytest.raises(Invalid, match="this node has none"):
        await joined(unseal(pieces(closed), None))


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(at=st.integers(min_value=0), flip=st.integers(min_value=1, max_value=255))
def test_no_sealed_byte_can_change_unnoticed(at: int, flip: int) -> None:
    closed = asyncio.run(sealed(b"a" * 70_000))
    at = 14 + at % (len(closed) - 14)  # before it stands what says that it is sealed
    bad = closed[:at] + bytes([closed[at] ^ flip]) + closed[at + 1 :]
    with pytest.raises(Invalid):
        asyncio.run(joined(unseal(pieces(bad), KEY)))


@pytest.mark.parametrize("change", ["cut", "last", "swap", "more"])
async def test_sealed_pieces_keep_their_places(change: str) -> None:
    closed = await sealed(os.urandom(65_536 * 3))
    start, one = 30, 4 + 65_536 + 16
    first, second = closed[start : start + one], closed[start + one : start + 2 * one]
    bad = {
        "cut": closed[:-1],
        "last": closed[: start + 2 * one],
        "swap": closed[:start] + second + first + closed[start + 2 * one :],
        "more": closed + b"x",
    }[change]
    with pytest.raises(Invalid):
        await joined(unseal(pieces(bad), KEY))


def test_key_files_are_secret_and_long_enough(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with pytest.raises(Invalid, match="there is no key file"):
        read_key(path)
    path.write_bytes(b"short\n")
    path.chmod(0o600)
    with pytest.raises(Invalid, match="5 bytes; it needs 32"):
        read_key(path)
    path.write_bytes(KEY + b"\n")
    assert read_key(path) == KEY
    path.chmod(0o644)
    with pytest.raises(Invalid, match="other users may read"):
        read_key(path)


@contextlib.asynccontextmanager
async def closing(spool: Spool) -> AsyncIterator[Spool]:
    try:
        yield spool
    finally:
        await spool.close()


# -- kept ----------------------------------------------------------------------


async def broken() -> AsyncIterator[bytes]:
    yield b"half"
    raise Unavailable("the store went away")


async def test_a_kept_backup_is_whole_private_and_listed(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "backups")
    assert await shelf.kept() == ()
    for name in ("20261123T040000Z-b", "20261122T040000Z-a"):
        assert await shelf.keep(name, pieces(b"abc" * 1000)) == 3000
    assert await shelf.kept() == ("20261122T040000Z-a", "20261123T040000Z-b")

    path = tmp_path / "backups" / "20261122T040000Z-a.nexa-backup"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    with pytest.raises(Unavailable, match="went away"):
        await shelf.keep("20261124T040000Z-c", broken())
    await shelf.forget("20261122T040000Z-a")
    await shelf.forget("never")
    assert [one.name for one in (tmp_path / "backups").iterdir()] == [
        "20261123T040000Z-b.nexa-backup"
    ]


async def test_what_a_killed_node_left_is_swept(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    mine, theirs = await shelf.spool(), await shelf.spool()
    for spool in (mine, theirs):
        await spool.write("a", pieces(b"abc"))
    archive._alive.discard(theirs.folder)  # as if another process had made it
    young, half = tmp_path / ".y.part", tmp_path / ".x.nexa-backup.12345678.part"
    for path in (young, half, tmp_path / "x.nexa-backup"):
        path.write_bytes(b"half")
    for path in (half, mine.folder, theirs.folder, tmp_path / "x.nexa-backup"):
        os.utime(path, (1, 1))
    await shelf.sweep()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"x.nexa-backup", ".y.part", mine.folder.name}
    await mine.close()


async def test_what_is_kept_is_sealed_and_opened_again(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, KEY)
    _, draft = await made(tmp_path)
    spool = await shelf.spool()
    for name, content in CONTENTS.items():
        await spool.write(name, pieces(content))
    await shelf.keep("b", shelf.pack(spool, draft))
    await spool.close()
    kept = (tmp_path / "b.nexa-backup").read_bytes()
    assert kept.startswith(b"nexa-sealed-1")
    async with closing(await shelf.spool()) as other:
        manifest = await shelf.unpack(pieces(kept), other)
    assert manifest.parts == draft.parts
    assert shelf.where == str(tmp_path)
    async with closing(await shelf.spool()) as other:
        with pytest.raises(Invalid, match="sealed"):
            await Shelf(tmp_path).unpack(pieces(kept), other)


async def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    shelf = Shelf(tmp_path / "file")
    with pytest.raises(Unavailable, match="file"):
        await shelf.spool()
    with pytest.raises(Unavailable, match="file"):
        await shelf.keep("x", pieces(b"abc"))


async def test_a_full_disk_is_said(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    spool._path("x").symlink_to("/dev/full")
    with pytest.raises(Unavailable, match="can't be written") as refused:
        await spool.write("x", pieces(b"abc"))
    assert refused.value.remedy
    full = OSError(28, "No space left on device")
    assert "free space" in (archive.cannot_write(tmp_path, full).remedy or "")
