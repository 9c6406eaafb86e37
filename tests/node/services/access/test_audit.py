"""What is done is written down before it is answered, or it is not done."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nexa_node.adapters.files.audit import AuditFiles
from nexa_node.contract.audit import AuditRecord
from nexa_node.contract.errors import Unavailable
from nexa_node.core.audit import chained, is_signed, line
from nexa_node.ports import AuditTail
from nexa_node.services.access.audit import CHECKPOINT_EVERY_S, WAITING_MAX, Audit
from nexa_node.services.audit_api import AuditFilter
from tests.audit_rig import Town
from tests.fakes import settle

DEED = {"event": "nodes:drain", "actor": "token:1", "name": "ada"}


class Sick(AuditFiles):
    """A disk that can be made to refuse."""

    full = False

    async def append(self, lines: Sequence[bytes], tail: AuditTail) -> None:
        if self.full:
            raise Unavailable("No space left on device")
        await super().append(lines, tail)


@asynccontextmanager
async def running(*writers: Audit) -> AsyncGenerator[None]:
    tasks = [asyncio.create_task(one.run()) for one in writers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_record_is_on_the_disk_when_it_is_answered(tmp_path: Path) -> None:
    town = Town(tmp_path)
    writer, desk = town.node("alpha")
    async with running(writer):
        await asyncio.gather(*(writer.record(**DEED) for _ in range(50)))

    page = await desk.page(AuditFilter(limit=100))
    assert [record.seq for record in page.items] == list(range(50, 0, -1))
    assert (await desk.verify()).status == "ok"


async def test_what_cannot_be_written_down_must_not_be_done(tmp_path: Path) -> None:
    town = Town(tmp_path)
    disk = Sick(tmp_path / "alpha" / "audit")
    writer, desk = town.node("alpha", disk)
    async with running(writer):
        await writer.record(**DEED)
        disk.full = True
        with pytest.raises(Unavailable, match="nothing is changed"):
            await writer.record(**DEED)
        assert not writer.healthy

        writer.note(event="authn_login_fail", actor="")
        await settle()
        disk.full = False
        await writer.record(**DEED)

    page = await desk.page(AuditFilter())
    assert [record.entry.event for record in page.items] == [
        "nodes:drain",
        "audit_gap",
        "nodes:drain",
    ]
    assert page.items[1].entry.reason == "1 entries could not be written"
    assert writer.missed == 1


async def test_notes_beyond_what_may_wait_are_counted_and_told(tmp_path: Path) -> None:
    town = Town(tmp_path)
    writer, desk = town.node("alpha")
    for _ in range(WAITING_MAX + 7):
        writer.note(**DEED)
    with pytest.raises(Unavailable):
        await writer.record(**DEED)
    async with running(writer):
        while not writer.records >= WAITING_MAX:
            await settle()

    gaps = await desk.page(AuditFilter(event="audit_gap"))
    assert gaps.items[0].entry.reason == "7 entries could not be written"


async def test_others_keep_signed_checkpoints(tmp_path: Path) -> None:
    town = Town(tmp_path)
    writer, _ = town.node("alpha")
    async with running(writer):
        await writer.record(**DEED)
        await _until(lambda: len(town.checkpoints.kept) == 1)
        await writer.record(**DEED)
        assert len(town.checkpoints.kept) == 1

        await town.clock.advance(CHECKPOINT_EVERY_S)
        await writer.record(**DEED)
        await _until(lambda: len(town.checkpoints.kept) == 2)

    assert [point.seq for point in town.checkpoints.kept] == [1, 3]
    assert all(is_signed(point) for point in town.checkpoints.kept)


async def test_a_checkpoint_that_nobody_keeps_holds_nothing_up(tmp_path: Path) -> None:
    town = Town(tmp_path)
    town.checkpoints.away = True
    writer, _ = town.node("alpha")
    async with running(writer):
        await writer.record(**DEED)
        town.checkpoints.away = False
        await town.clock.advance(CHECKPOINT_EVERY_S)
        await writer.record(**DEED)
        await _until(lambda: len(town.checkpoints.kept) == 1)


async def test_the_last_records_get_a_checkpoint_though_none_follow(
    tmp_path: Path,
) -> None:
    town = Town(tmp_path)
    writer, _ = town.node("alpha")
    async with running(writer), asyncio.TaskGroup() as group:
        keeping = group.create_task(writer.keep_up())
        await writer.record(**DEED)
        await writer.record(**DEED)
        await town.clock.advance(CHECKPOINT_EVERY_S)
        await _until(lambda: town.checkpoints.kept[-1:] and _newest(town) == 2)
        keeping.cancel()


async def test_what_is_cut_off_behind_the_last_checkpoint_is_known_to_its_writer(
    tmp_path: Path,
) -> None:
    town = Town(tmp_path)
    writer, desk = town.node("alpha")
    async with running(writer):
        for _ in range(5):
            await writer.record(**DEED)
        await _until(lambda: len(town.checkpoints.kept) == 1)
    (segment,) = (tmp_path / "alpha/audit").iterdir()
    whole = segment.read_bytes()
    lines = whole.splitlines(keepends=True)

    segment.write_bytes(b"".join(lines[:-1]))
    cut = await desk.verify()
    assert (cut.status, cut.first_bad, cut.chain) == ("broken", 5, "alpha/e1")
    segment.write_bytes(b"")
    emptied = await desk.verify()
    assert (emptied.status, emptied.chain) == ("broken", "alpha")
    segment.unlink()
    gone = await desk.verify()
    assert (gone.status, gone.chain) == ("broken", "alpha/e1")
    assert "5 records" in gone.reason
    segment.write_bytes(whole)
    assert (await desk.verify()).status == "ok"


def _newest(town: Town) -> int:
    return town.checkpoints.kept[-1].seq


async def test_any_node_tells_what_was_done_on_all_of_them(tmp_path: Path) -> None:
    town = Town(tmp_path)
    alpha, _ = town.node("alpha")
    beta, desk = town.node("beta")
    town.names.append("gamma")  # on record, and away
    async with running(alpha, beta):
        await alpha.record(**DEED)
        await town.clock.advance(1)
        await beta.record(**{**DEED, "event": "tokens:create", "name": "eve"})

    page = await desk.page(AuditFilter())
    assert [record.chain for record in page.items] == ["beta/e1", "alpha/e1"]
    first = await desk.page(AuditFilter(limit=1))
    assert first.next_cursor == page.items[0].entry.time.isoformat()
    before = page.items[0].entry.time
    second = await desk.page(AuditFilter(limit=1, before=before))
    assert [record.chain for record in second.items] == ["alpha/e1"]
    assert (await desk.page(AuditFilter(actor="eve"))).items[0].chain == "beta/e1"
    assert not (await desk.page(AuditFilter(resource="nowhere"))).items
    assert (await desk.page(AuditFilter(text="EVE"))).items[0].chain == "beta/e1"
    assert not (await desk.page(AuditFilter(address="10.0.0.9"))).items

    verdict = await desk.verify()
    assert (verdict.status, verdict.records) == ("incomplete", 2)
    assert "gamma could not be asked" in verdict.reason


async def test_a_forged_chain_on_another_node_is_found(tmp_path: Path) -> None:
    town = Town(tmp_path)
    alpha, _ = town.node("alpha")
    beta, desk = town.node("beta")
    async with running(alpha, beta):
        for _ in range(3):
            await alpha.record(**DEED)
        await town.clock.advance(CHECKPOINT_EVERY_S)
        await alpha.record(**DEED)
        await _until(lambda: len(town.checkpoints.kept) == 2)
    _forge(tmp_path / "alpha" / "audit" / "000001.jsonl")

    verdict = await desk.verify()

    assert (verdict.status, verdict.chain) == ("broken", "alpha/e1")
    assert verdict.first_bad == 2


def _forge(path: Path) -> None:
    """Compute all anew behind the first record, as if somebody else had done it."""
    header, first, *rest = path.read_bytes().splitlines()
    lines, prev = [header, first], msgspec.json.decode(first, type=AuditRecord).hash
    for text in rest:
        record = msgspec.json.decode(text, type=AuditRecord)
        entry = msgspec.structs.replace(record.entry, name="eve")
        forged = chained(record.chain, record.seq, prev, entry)
        prev = forged.hash
        lines.append(line(forged).strip())
    path.write_bytes(b"\n".join(lines) + b"\n")


async def _until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await settle()
            await asyncio.sleep(0)
