"""The board, silences, evidence and the log of alerts: one contract, two stores."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from nexa_node.contract.alert_records import AlertRecord
from nexa_node.contract.alerts import (
    AlertChange,
    Evidence,
    LabelMatcher,
    Silence,
)
from nexa_node.contract.errors import Conflict
from nexa_node.ports import Caught, Removed, Versioned
from tests.alerting import NOW, alert
from tests.node.contract_ports.conftest import World


def record(name: str = "Down", **over: Any) -> AlertRecord:
    return AlertRecord(alert=alert(name, **over), rule=f"g/{name}")


def silence(key: str = "s-1") -> Silence:
    return Silence(
        id=key,
        matchers=(LabelMatcher(name="alertname", kind="=", value="Down"),),
        starts=NOW,
        ends=NOW + timedelta(hours=1),
        by="ann",
        comment="a test",
        created=NOW,
    )


def change(number: int, fingerprint: str = "0" * 16) -> AlertChange:
    return AlertChange(
        id=f"c-{number}",
        time=NOW + timedelta(seconds=number),
        fingerprint=fingerprint,
        name="Down",
        severity="critical",
        change="firing",
        text=str(number),
    )


async def test_a_record_is_made_once_and_changed_by_who_saw_it_last(
    world: World,
) -> None:
    alerts = world.store.alerts
    one = record()
    first = await alerts.create(one)
    assert first is not None
    assert await alerts.create(one) is None

    newer = record(value=2.0)
    second = await alerts.update(newer, revision=first)
    with pytest.raises(Conflict):
        await alerts.update(one, revision=first)
    assert await alerts.get(one.alert.fingerprint) == Versioned(newer, second)

    with pytest.raises(Conflict):
        await alerts.delete(one.alert.fingerprint, revision=first)
    await alerts.delete(one.alert.fingerprint, revision=second)
    await alerts.delete(one.alert.fingerprint, revision=second)
    assert await alerts.get(one.alert.fingerprint) is None
    assert await alerts.create(one) is not None


async def test_a_watch_tells_what_is_there_and_what_becomes_of_it(world: World) -> None:
    alerts = world.store.alerts
    await alerts.create(record("A"))
    await world.store.silences.put(silence())  # not the board's
    told = alerts.watch()
    first, caught = await anext(told), await anext(told)
    assert isinstance(first, Versioned)
    assert first.value == record("A")
    assert isinstance(caught, Caught)

    revision = await alerts.create(record("B"))
    second = await anext(told)
    assert second == Versioned(record("B"), revision)
    await alerts.delete(record("B").alert.fingerprint, revision=second.revision)
    assert await anext(told) == Removed(record("B").alert.fingerprint)


async def test_silences_are_put_changed_and_forgotten(world: World) -> None:
    silences = world.store.silences
    await silences.put(silence())
    told = silences.watch()
    first = await anext(told)
    assert isinstance(first, Versioned)
    assert first.value == silence()
    assert isinstance(await anext(told), Caught)
    await silences.delete("s-1")
    await silences.delete("s-1")
    assert await anext(told) == Removed("s-1")


async def test_evidence_is_kept_by_alert(world: World) -> None:
    evidence = Evidence(at=NOW, expression="up == 0", tasks=("t-1",))
    assert await world.store.evidence.get("0" * 16) is None
    await world.store.evidence.put("0" * 16, evidence)
    assert await world.store.evidence.get("0" * 16) == evidence
    assert await world.store.evidence.get("1" * 16) is None


async def test_the_log_is_read_backwards_page_by_page(world: World) -> None:
    log = world.store.alert_log
    assert await log.read(limit=5) == []
    for number in range(1, 8):
        await log.append(change(number, "a" * 16 if number % 2 else "b" * 16))
    await log.append(change(7, "a" * 16))

    newest = await log.read(limit=3)
    assert [line.text for _, line in newest] == ["7", "6", "5"]
    older = await log.read(limit=10, before=newest[-1][0])
    assert [line.text for _, line in older] == ["4", "3", "2", "1"]
    own = await log.read(fingerprint="b" * 16, limit=2)
    assert [line.text for _, line in own] == ["6", "4"]
    rest = await log.read(fingerprint="b" * 16, limit=2, before=own[-1][0])
    assert [line.text for _, line in rest] == ["2"]
    assert await log.read(fingerprint="c" * 16, limit=2) == []


async def test_more_lines_than_one_batch_are_all_found(world: World) -> None:
    log = world.store.alert_log
    await asyncio.gather(*(log.append(change(number)) for number in range(600)))
    found = await log.read(limit=1000)
    assert len({line.id for _, line in found}) == 600
    positions = [position for position, _ in found]
    assert positions == sorted(positions, reverse=True)
    assert len(await log.read(fingerprint="0" * 16, limit=1000)) == 600
