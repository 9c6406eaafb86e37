"""Shared state: who loses is told what is there, and nothing is lost unseen."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nexa_node.contract.errors import Conflict, Invalid, NotFound, PayloadTooLarge
from nexa_node.contract.frames import DATA_LIMIT
from nexa_node.contract.shared import NewValue, Written
from nexa_node.core.hlc import HybridClock
from nexa_node.core.shared import Record
from nexa_node.services.shared.state import TRIES, SharedState
from tests.fakes import FakeClock, RecordingJournal
from tests.shared_fakes import MemoryConflicts, MemoryShared


class Scene:
    def __init__(self) -> None:
        self.records, self.log = MemoryShared(), MemoryConflicts()
        self.clock, self.journal = FakeClock(), RecordingJournal()
        self.state = SharedState(
            records=self.records,
            conflicts=self.log,
            clock=self.clock,
            journal=self.journal,
            node="alpha",
        )

    async def put(
        self, bucket: str, value: Any, *, by: str = "a", base: int | None = None
    ) -> Any:
        return await self.state.put(
            bucket, "k", NewValue(value=value), base=base, by=by
        )

    def other(self, kind: Any, value: Any, at_ms: int = 0) -> Record:
        stamp = HybridClock("beta").at(at_ms)
        write = Written(
            by="b", node="beta", time=self.clock.now(), stamp=stamp, value=value
        )
        return Record(kind=kind, writes=(write,))


@pytest.fixture
async def scene() -> Scene:
    made = Scene()
    for kind in ("cas", "lww", "merge"):
        await made.state.declare(kind, kind)
    return made


async def test_of_two_that_compare_and_set_the_loser_is_told_the_value(
    scene: Scene,
) -> None:
    first = await scene.put("cas", 1)
    second = await scene.put("cas", 2, base=first.revision, by="b")

    with pytest.raises(Conflict) as lost:
        await scene.put("cas", 3, base=first.revision)

    assert lost.value.details["revision"] == second.revision
    assert lost.value.details["current"]["value"] == 2
    assert lost.value.details["current"]["by"] == "b"
    assert scene.log.kept == {}


async def test_one_who_writes_between_our_look_and_our_write_is_noticed(
    scene: Scene,
) -> None:
    scene.records.before_put.append(("cas", "k", scene.other("cas", "theirs")))

    with pytest.raises(Conflict) as lost:
        await scene.put("cas", "mine", base=0)

    assert lost.value.details["current"]["value"] == "theirs"


async def test_a_later_write_replaces_and_what_it_replaced_is_kept(
    scene: Scene,
) -> None:
    await scene.put("lww", "x", by="a")
    await scene.clock.advance(1)
    told = await scene.put("lww", "y", by="b")

    (one,) = await scene.state.conflicts()
    assert (told.value, told.kept) == ("y", True)
    assert [(side.name, side.kept) for side in one.sides] == [("b", True), ("a", False)]
    assert [write.value for write in one.sides[1].writes] == ["x"]
    assert (await scene.state.conflict(one.id)) == one
    assert scene.journal.kinds() == ["conflict.value"]


async def test_a_write_of_one_who_was_away_may_come_too_late(scene: Scene) -> None:
    await scene.put("lww", "x", by="a")
    before = scene.clock.now() - timedelta(minutes=5)
    told = await scene.state.put(
        "lww", "k", NewValue(value="old", time=before), base=None, by="b"
    )

    (one,) = await scene.state.conflicts()
    assert (told.value, told.kept) == ("x", False)
    assert one.sides[1].writes[0].value == "old"


async def test_changes_of_different_fields_are_merged_even_at_once(
    scene: Scene,
) -> None:
    scene.records.before_put.append(("merge", "k", scene.other("merge", {"a": 1})))
    told = await scene.put("merge", {"b": 2})

    assert told.value == {"a": 1, "b": 2}


async def test_a_clock_behind_writes_after_what_it_has_seen(scene: Scene) -> None:
    now_ms = int(scene.clock.now().timestamp() * 1000)
    scene.records.before_put.append(
        ("lww", "k", scene.other("lww", 1, now_ms + 30_000))
    )
    told = await scene.put("lww", 2, by="b")

    assert (told.value, told.kept) == (2, True)


async def test_a_value_is_removed_by_who_has_seen_it(scene: Scene) -> None:
    told = await scene.put("cas", 1)
    for base in (None, told.revision + 1):
        with pytest.raises(Conflict) as refused:
            await scene.state.delete("cas", "k", base=base)
        assert refused.value.details["current"]["value"] == 1

    await scene.state.delete("cas", "k", base=told.revision)
    for gone in (
        scene.state.get("cas", "k"),
        scene.state.delete("cas", "k", base=None),
    ):
        with pytest.raises(NotFound):
            await gone


async def test_values_and_buckets_are_listed(scene: Scene) -> None:
    await scene.put("cas", 1)
    await scene.state.put("cas", "j", NewValue(value=2), base=None, by="a")

    assert [one.name for one in await scene.state.buckets()] == ["cas", "lww", "merge"]
    assert [one.key for one in await scene.state.values("cas")] == ["j", "k"]


async def test_a_bucket_keeps_its_rule(scene: Scene) -> None:
    assert (await scene.state.declare("cas", "cas")).kind == "cas"
    with pytest.raises(Conflict):
        await scene.state.declare("cas", "lww")
    for what in (scene.put("other", 1), scene.state.values("other")):
        with pytest.raises(NotFound):
            await what


@pytest.mark.parametrize(
    ("bucket", "time"),
    [
        ("cas", datetime(2026, 1, 1, tzinfo=UTC)),
        ("lww", datetime(2026, 1, 1)),  # noqa: DTZ001  # without a zone is the point
        ("lww", datetime(1999, 1, 1, tzinfo=UTC)),
        ("lww", datetime(2099, 1, 1, tzinfo=UTC)),
    ],
)
async def test_times_that_mean_nothing_are_refused(
    scene: Scene, bucket: str, time: datetime
) -> None:
    with pytest.raises(Invalid):
        await scene.state.put(
            bucket, "k", NewValue(value=1, time=time), base=None, by="a"
        )


async def test_a_value_too_large_is_refused(scene: Scene) -> None:
    with pytest.raises(PayloadTooLarge):
        await scene.put("cas", "x" * DATA_LIMIT)


async def test_what_changes_all_the_time_is_given_up(scene: Scene) -> None:
    others = [("lww", "k", scene.other("lww", number)) for number in range(TRIES)]

    async def put(*asked: Any, **more: Any) -> None:
        bucket, key, other = others.pop()
        await MemoryShared.put(scene.records, bucket, key, other, revision=0)

    scene.records.put = put
    with pytest.raises(Conflict, match="too fast"):
        await scene.put("lww", 1)


async def test_a_conflict_that_is_not_there(scene: Scene) -> None:
    with pytest.raises(NotFound):
        await scene.state.conflict("none")
