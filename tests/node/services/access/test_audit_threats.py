"""T11: an audit that was edited, cut, computed anew, or could not be written. T18: `cat`."""

import asyncio
import random
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nexa_node.adapters.files.audit import AuditFiles
from nexa_node.adapters.files.audit_key import AuditKey
from nexa_node.adapters.files.witness import Witness
from nexa_node.contract.audit import AuditRecord, Checkpoint
from nexa_node.contract.errors import Unavailable
from nexa_node.core.audit import chained, line, signed_part
from nexa_node.services.access.audit import CHECKPOINT_EVERY_S, Audit
from tests.audit_rig import Town
from tests.fakes import settle

DEED = {"event": "nodes:drain", "actor": "token:1", "name": "ada"}


@asynccontextmanager
async def running(town: Town, *writers: Audit) -> AsyncIterator[None]:
    loops = [one.run() for one in writers]
    loops += [one.run() for one in town.witnesses.values()]
    tasks = [asyncio.create_task(one) for one in loops]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await settle()
            await asyncio.sleep(0)


async def written(town: Town, writer: Audit, count: int = 4) -> None:
    """So many records, each with a checkpoint that the others heard of."""
    for _ in range(count):
        await writer.record(**DEED)
        expected = len(town.checkpoints.kept) + 1
        await town.clock.advance(CHECKPOINT_EVERY_S)
        writer.note(**DEED)
        await until(lambda: len(town.checkpoints.kept) >= expected)  # noqa: B023


async def heard(town: Town, name: str, seq: int) -> None:
    path = town.folder / name / "witness.jsonl"
    await until(lambda: path.exists() and f'"seq":{seq},' in path.read_text())


async def test_a_node_that_forges_all_it_can_reach_is_found_by_what_others_heard(
    tmp_path: Path,
) -> None:
    town = Town(tmp_path)
    alpha, _ = town.node("alpha")
    _, desk = town.node("beta")
    async with running(town, alpha):
        await written(town, alpha)
        last = town.checkpoints.kept[-1]
        await heard(town, "beta", last.seq)
    assert (await desk.verify()).witnesses == 1

    path = tmp_path / "alpha" / "audit" / "000001.jsonl"
    heads = forge(path)
    key = AuditKey(tmp_path / "alpha" / "audit.key")
    town.checkpoints.kept[:] = [
        signed_anew(point, heads[point.seq], key) for point in town.checkpoints.kept
    ]

    verdict = await desk.verify()

    assert (verdict.status, verdict.chain) == ("broken", "alpha/e1")
    assert "computed anew" in verdict.reason


async def test_a_contradiction_is_told_when_it_is_heard(tmp_path: Path) -> None:
    town = Town(tmp_path)
    alpha, _ = town.node("alpha")
    town.node("beta")
    async with running(town, alpha):
        await written(town, alpha, 1)
        point = town.checkpoints.kept[-1]
        await heard(town, "beta", point.seq)
        key = AuditKey(tmp_path / "alpha" / "audit.key")
        await town.checkpoints.put(signed_anew(point, "f" * 64, key))
        await until(
            lambda: any(
                one.kind == "audit.contradiction" for one in town.journal.records
            )
        )
        await town.checkpoints.put(
            msgspec.structs.replace(point, seq=99, signature="x")
        )
        await settle()

    text = (tmp_path / "beta" / "witness.jsonl").read_text()
    assert '"seq":99' not in text


async def test_a_folder_that_was_emptied_is_missed(tmp_path: Path) -> None:
    town = Town(tmp_path)
    alpha, _ = town.node("alpha")
    _, desk = town.node("beta")
    async with running(town, alpha):
        await written(town, alpha, 2)
    shutil.rmtree(tmp_path / "alpha" / "audit")
    assert (await desk.verify()).status == "broken", "who wrote it is there yet"
    town.node("alpha")  # a restart: it knows nothing of what it wrote

    verdict = await desk.verify()

    assert verdict.status == "incomplete"
    assert "nothing is here of alpha/e1" in verdict.reason
    await town.clock.advance(timedelta(days=401).total_seconds())
    assert (await desk.verify()).status == "ok", "it would have been retired by now"


async def test_a_restarted_witness_keeps_what_it_heard_once(tmp_path: Path) -> None:
    town = Town(tmp_path)
    alpha, _ = town.node("alpha")
    town.node("beta")
    async with running(town, alpha):
        await written(town, alpha, 2)
        await heard(town, "beta", town.checkpoints.kept[-1].seq)
    before = (tmp_path / "beta" / "witness.jsonl").read_bytes()
    town.node("beta")

    async with running(town):
        await settle()
        await asyncio.to_thread(lambda: None)
        await settle()

    assert (tmp_path / "beta" / "witness.jsonl").read_bytes() == before
    assert (tmp_path / "beta" / "witness.jsonl").stat().st_mode & 0o777 == 0o600


async def test_a_witness_survives_torn_lines_and_stays_small(tmp_path: Path) -> None:
    path = tmp_path / "witness.jsonl"
    witness = Witness(path, bytes_max=2000)
    point = Checkpoint(
        chain="a/1",
        seq=1,
        hash="0",
        time=Town(tmp_path).clock.now(),
        key="",
        signature="",
    )
    await witness.keep(point)
    with path.open("ab") as file:
        file.write(b'{"chain":')
    await witness.keep(msgspec.structs.replace(point, seq=2))
    assert [one.seq for one in await witness.all()] == [1, 2]

    for seq in range(3, 40):
        await witness.keep(msgspec.structs.replace(point, seq=seq))

    assert path.stat().st_size <= 2000
    assert (await witness.all())[-1].seq == 39
    with pytest.raises(Unavailable, match="can't be written"):
        await Witness(tmp_path / "no" / "where").keep(point)


async def test_every_kind_of_change_to_a_byte_is_found(tmp_path: Path) -> None:
    town = Town(tmp_path)
    alpha, desk = town.node("alpha")
    async with running(town, alpha):
        await written(town, alpha)
    path = tmp_path / "alpha" / "audit" / "000001.jsonl"
    whole = path.read_bytes()
    rng = random.Random(5)
    header = whole.index(b"\n") + 1
    places = [rng.randrange(header, len(whole) - 1) for _ in range(40)]
    changes = [
        *(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in places[:20]),
        *(whole[:at] + whole[at + 1 :] for at in places[20:30]),
        *(whole[:at] + b"x" + whole[at:] for at in places[30:]),
        whole[: whole.rstrip(b"\n").rindex(b"\n") + 1],
        b"",
    ]
    lines = whole.splitlines(keepends=True)
    changes.append(b"".join([*lines[:2], lines[3], lines[2], *lines[4:]]))
    changes.append(b"".join([*lines[:2], *lines[3:]]))

    for changed in changes:
        path.write_bytes(changed)
        assert (await desk.verify()).status != "ok", changed
    path.write_bytes(whole)
    assert (await desk.verify()).status == "ok"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("nothing can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


async def filled(writer: Audit) -> None:
    for _ in range(10_000):
        await writer.record(**DEED, reason="x" * 400)


async def test_on_a_disk_that_is_full_nothing_is_done_and_nothing_is_half_written(
    small_disk: Path, tmp_path: Path
) -> None:
    town = Town(tmp_path)
    alpha, desk = town.node("alpha", AuditFiles(small_disk / "audit"))
    async with running(town, alpha):
        with pytest.raises(Unavailable, match="nothing is changed"):
            await filled(alpha)
        assert alpha.records > 10
        assert (await desk.verify()).status == "ok"
        assert not alpha.healthy

        before = alpha.records
        subprocess.run(["mount", "-o", "remount,size=256k", small_disk], check=True)
        await alpha.record(**DEED)
        assert alpha.records > before

    verdict = await desk.verify()
    assert (verdict.status, verdict.records) == ("ok", alpha.records)


async def test_no_byte_of_it_is_obeyed_by_a_terminal(tmp_path: Path) -> None:
    town = Town(tmp_path)
    alpha, _ = town.node("alpha")
    hostile = "".join(map(chr, [*range(0x20), 0x7F, *range(0x80, 0xA0)]))
    hostile += '\u202e\u2066\u200b\u2028\ufeff\U0001f600\ud800\\"]0;x[31m'
    async with running(town, alpha):
        for name in ("event", "actor", "name", "address", "request", "resource"):
            await alpha.record(**{**DEED, name: hostile})
        await alpha.record(**DEED, reason=hostile, after={"what": hostile})

    for path in (tmp_path / "alpha" / "audit").iterdir():
        content = path.read_bytes()
        assert all(byte == 0x0A or 0x20 <= byte <= 0x7E for byte in content)


def forge(path: Path) -> dict[int, str]:
    """Compute the whole chain anew with another name in it; the new hashes."""
    header, *rest = path.read_bytes().splitlines()
    lines, prev = [header], "0" * 64
    heads: dict[int, str] = {}
    for text in rest:
        record = msgspec.json.decode(text, type=AuditRecord)
        entry = msgspec.structs.replace(record.entry, name="eve")
        forged = chained(record.chain, record.seq, prev, entry)
        prev = heads[forged.seq] = forged.hash
        lines.append(line(forged).strip())
    path.write_bytes(b"\n".join(lines) + b"\n")
    return heads


def signed_anew(point: Checkpoint, digest: str, key: AuditKey) -> Checkpoint:
    import base64

    bare = msgspec.structs.replace(point, hash=digest, signature="")
    signature = base64.b64encode(key.sign(signed_part(bare))).decode()
    return msgspec.structs.replace(bare, signature=signature)
