"""A node's audit on its disk: added to, resumed, retired, verified; whole or refused."""

import errno
import os
from datetime import timedelta
from pathlib import Path

import pytest

from nexa_node.adapters.files.audit import AuditFiles
from nexa_node.adapters.files.audit_key import AuditKey
from nexa_node.contract.errors import Unavailable
from nexa_node.core.audit import chained, entry_of, line
from nexa_node.ports import AuditTail
from tests.builders import NOW

CHAIN = "alpha/e1"


async def add(files: AuditFiles, tail: AuditTail, count: int) -> AuditTail:
    for _ in range(count):
        entry = entry_of(
            time=NOW + timedelta(seconds=tail.seq),
            event="nodes:drain" if tail.seq % 2 else "tokens:create",
            actor=f"token:{tail.seq}",
        )
        record = chained(tail.chain, tail.seq + 1, tail.head, entry)
        tail = AuditTail(tail.chain, record.seq, record.hash)
        await files.append([line(record)], tail)
    return tail


async def test_a_chain_goes_on_where_the_last_process_stopped(tmp_path: Path) -> None:
    first = AuditFiles(tmp_path / "audit")
    before = await add(first, await first.open(CHAIN), 3)
    first.close()

    second = AuditFiles(tmp_path / "audit")
    after = await second.open("alpha/another")

    assert after == before
    await add(second, after, 2)
    verdict = await second.verify(())
    assert (verdict.status, verdict.records) == ("ok", 5)


async def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    files = AuditFiles(tmp_path / "audit")
    await add(files, await files.open(CHAIN), 1)

    assert (tmp_path / "audit").stat().st_mode & 0o077 == 0
    assert (tmp_path / "audit" / "000001.jsonl").stat().st_mode & 0o077 == 0


async def test_a_torn_line_that_nobody_was_told_of_is_cut_off(tmp_path: Path) -> None:
    files = AuditFiles(tmp_path / "audit")
    before = await add(files, await files.open(CHAIN), 2)
    files.close()
    with (tmp_path / "audit" / "000001.jsonl").open("ab") as file:
        file.write(b'{"chain":"alpha/e1","ent')

    again = AuditFiles(tmp_path / "audit")

    assert await again.open(CHAIN) == before
    await add(again, before, 1)
    assert (await again.verify(())).status == "ok"


async def test_segments_are_begun_and_retired_and_what_is_left_verifies(
    tmp_path: Path,
) -> None:
    files = AuditFiles(tmp_path / "audit", segment_bytes=1500)
    tail = await add(files, await files.open(CHAIN), 20)
    made = len(list((tmp_path / "audit").iterdir()))
    assert made > 3
    assert (await files.verify(())).records == 20

    gone = await files.retire(older_than=0, more_than_bytes=3000)

    assert 0 < gone < made
    left = await files.verify(())
    assert left.status == "ok"
    assert left.records < 20
    await add(files, tail, 5)
    names = sorted(path.name for path in (tmp_path / "audit").iterdir())
    assert len(names) == len(set(names))
    assert (await files.verify(())).status == "ok"


async def test_segments_older_than_the_retention_go_and_younger_ones_stay(
    tmp_path: Path,
) -> None:
    files = AuditFiles(tmp_path / "audit", segment_bytes=1500)
    await add(files, await files.open(CHAIN), 20)
    segments = sorted((tmp_path / "audit").iterdir())
    kept_since = 1_000_000.0
    for path, written in zip(segments[:3], (1, -2, -1), strict=True):
        os.utime(path, (0, kept_since + written))

    assert await files.retire(older_than=kept_since, more_than_bytes=10**9) == 0
    # The first is young: what is behind it would be a hole if it went.

    os.utime(segments[0], (0, kept_since - 3))
    assert await files.retire(older_than=kept_since, more_than_bytes=10**9) == 3
    assert sorted((tmp_path / "audit").iterdir()) == segments[3:]
    assert (await files.verify(())).status == "ok"


async def test_a_missing_segment_is_found(tmp_path: Path) -> None:
    files = AuditFiles(tmp_path / "audit", segment_bytes=1500)
    await add(files, await files.open(CHAIN), 20)
    sorted((tmp_path / "audit").iterdir())[1].unlink()

    assert (await files.verify(())).status == "broken"


async def test_the_newest_are_read_first_and_only_what_is_wanted(
    tmp_path: Path,
) -> None:
    files = AuditFiles(tmp_path / "audit", segment_bytes=1500)
    await add(files, await files.open(CHAIN), 20)

    drains = await files.newest(lambda entry: entry.event == "nodes:drain", limit=3)
    assert [record.seq for record in drains] == [20, 18, 16]

    early = await files.newest(
        lambda _: True,
        limit=100,
        since=NOW + timedelta(seconds=3),
        before=NOW + timedelta(seconds=6),
    )
    assert [record.seq for record in early] == [6, 5, 4]


async def test_a_full_disk_refuses_and_leaves_no_half_of_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = AuditFiles(tmp_path / "audit")
    tail = await add(files, await files.open(CHAIN), 2)
    write, left = os.write, [10]

    def nearly_full(descriptor: int, content: bytes) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = write(descriptor, content[: left[0]])
        left[0] -= taken
        return taken

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", nearly_full)
        with pytest.raises(Unavailable, match="No space left"):
            await add(files, tail, 1)

    await add(files, tail, 1)
    verdict = await files.verify(())
    assert (verdict.status, verdict.records) == ("ok", 3)


async def test_a_damaged_end_is_refused_with_what_mends_it(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    folder.mkdir()
    (folder / "000001.jsonl").write_bytes(b"rubbish\n")

    with pytest.raises(Unavailable) as refused:
        await AuditFiles(folder).open(CHAIN)
    assert "nexa audit verify" in (refused.value.remedy or "")


def test_the_key_is_made_once_and_signs_alike(tmp_path: Path) -> None:
    first, second = AuditKey(tmp_path / "audit.key"), AuditKey(tmp_path / "audit.key")

    assert first.sign(b"x") == second.sign(b"x")
    assert first.public() == second.public()
    assert (tmp_path / "audit.key").stat().st_mode & 0o077 == 0


def test_a_key_that_is_none_is_told(tmp_path: Path) -> None:
    key = tmp_path / "audit.key"
    key.write_bytes(b"short")
    key.chmod(0o600)

    with pytest.raises(Unavailable, match="no key"):
        AuditKey(key).sign(b"x")
