"""Notifications put together in each of the three modes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nexa_node.adapters.files.config import load_settings
from nexa_node.adapters.files.node_folder import Identity, NodeFolder
from nexa_node.adapters.host.clock import SystemClock
from nexa_node.core.exposition import render
from nexa_node.services.api import DeliveryFilter
from nexa_node.wiring.notifying import FILE, Notifications
from nexa_node.wiring.place import Place
from tests import alerting
from tests.alerting import MemoryDeliveries
from tests.fakes import RecordingJournal
from tests.sinks import HttpSink, http_sink


@pytest.fixture
async def sink() -> AsyncIterator[HttpSink]:
    async with http_sink() as made:
        yield made


class Bench:
    def __init__(self, folder: Path, text: str) -> None:
        path = folder / "nexa.toml"
        path.write_text(text)
        self.folder = NodeFolder(folder / "alpha")
        self.folder.path.mkdir(mode=0o700)
        place = Place(
            folder=self.folder,
            identity=Identity(id="1", name="alpha"),
            url="http://127.0.0.1:1",
            state=folder,
            loaded=load_settings(path, environ={}),
            started=datetime.now(UTC),
        )
        self.journal = RecordingJournal()
        fellowship: Any = SimpleNamespace(
            controller=SimpleNamespace(is_controller=lambda: True),
            clock=SystemClock(),
            journal=self.journal,
        )
        self.cluster = MemoryDeliveries()
        self.made = Notifications(place, fellowship, self.cluster)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Notifications]:
        tasks = [asyncio.ensure_future(loop()) for _, loop in self.made.loops]
        try:
            yield self.made
        finally:
            for task in reversed(tasks):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


def alert(name: str, **more: Any) -> Any:
    return alerting.alert(name, fired=datetime.now(UTC), **more)


def hook(url: str) -> str:
    return (
        f"[[receiver]]\nname='ops'\nkind='webhook'\nurl='{url}'\n"
        "[[route]]\nreceivers=['ops']\ngroup_wait_ms=0\n"
    )


def test_the_loops_have_names_of_their_own(tmp_path: Path) -> None:
    text = "[alerting]\nmode='alertmanager'\nalertmanagers=['http://127.0.0.1:1']\n"
    names = [name for name, _ in Bench(tmp_path, text).made.loops]

    assert len(names) == len(set(names))


def test_without_receivers_nothing_runs_that_could_tell_somebody(
    tmp_path: Path,
) -> None:
    assert [name for name, _ in Bench(tmp_path, "").made.loops] == ["outgoing"]


async def test_nexa_notifies_of_the_clusters_alerts_and_of_its_own(
    tmp_path: Path, sink: HttpSink
) -> None:
    bench = Bench(tmp_path, hook(sink.url))
    escalated: list[str] = []
    async with bench.running() as made:
        made.on_escalated(lambda fingerprint, _: escalated.append(fingerprint))
        await made.cluster.told([alert("A")])
        await made.local.told([alert("A")])
        asked = await sink.until(2)
        async with asyncio.timeout(10):
            while (
                len(
                    (
                        await made.desk.deliveries(DeliveryFilter(state="delivered"))
                    ).items
                )
                < 2
            ):
                await asyncio.sleep(0.01)
        text = render(made.families()).decode()

    assert {one.json["groupKey"] for one in asked} == {
        '{}:{alertname="A"}',
        '{}/{nexa_node="alpha"}:{alertname="A"}',
    }
    assert asked[0].json["externalURL"] == "http://127.0.0.1:1"
    assert (bench.folder.path / FILE).stat().st_mode & 0o077 == 0
    assert len(bench.cluster.records) == 1
    assert 'nexa_notifications_total{integration="webhook",outcome="success"} 2' in text
    assert "nexa_notifications_waiting 0" in text


async def test_an_alertmanager_is_told_instead(tmp_path: Path, sink: HttpSink) -> None:
    sink.default = (200, {}, b"[]")
    bench = Bench(
        tmp_path, f"[alerting]\nmode='alertmanager'\nalertmanagers=['{sink.url}']\n"
    )
    async with bench.running() as made:
        await made.cluster.told([alert("A")])
        await made.local.told([alert("B")])
        async with asyncio.timeout(10):
            while len([one for one in sink.asked if one.path == "/api/v2/alerts"]) < 2:
                await asyncio.sleep(0.01)

    assert made.silences is not None
    assert made.external is None
    told = [
        one.json[0]["labels"]["alertname"] for one in sink.asked if one.method == "POST"
    ]
    assert sorted(told) == ["A", "B"]


async def test_a_prometheus_evaluates_and_acknowledgements_go_to_its_alertmanager(
    tmp_path: Path, sink: HttpSink
) -> None:
    sink.default = (200, {}, b"[]")
    bench = Bench(
        tmp_path,
        f"[alerting]\nmode='external'\nprometheus='{sink.url}'\nalertmanagers=['{sink.url}']\n",
    )
    sink.answers += [(200, {}, b"[]"), (200, {}, b'{"silenceID":"x"}')]
    async with bench.running() as made:
        await made.cluster.told([alert("A", ack=alerting.ack(at=datetime.now(UTC)))])
        async with asyncio.timeout(10):
            while not any(one.method == "POST" for one in sink.asked):
                await asyncio.sleep(0.01)

    assert made.external is not None
    assert made.silences is None
    assert {one.path for one in sink.asked} == {"/api/v2/silences"}


async def test_the_switch_outside_is_called_while_the_watchdog_fires(
    tmp_path: Path, sink: HttpSink
) -> None:
    url = tmp_path / "url"
    url.write_text(f"{sink.url}/ping")
    url.chmod(0o600)
    bench = Bench(
        tmp_path,
        f"[alerting]\nheartbeat_url_file='{url}'\n[[watchdog]]\nname='uptime'\n",
    )
    async with bench.running() as made:
        await made.cluster.told([alert("NexaWatchdog", severity="none")])
        await sink.until(1)
        async with asyncio.timeout(10):
            while made.heartbeat is None or made.heartbeat.delivered is None:
                await asyncio.sleep(0.01)
        made.desk.watchdog("uptime")
        text = render(made.families()).decode()

    assert sink.asked[0].path == "/ping"
    assert "nexa_watchdog_last_delivered_timestamp_seconds 1" in text
    assert 'nexa_watchdog_last_seen_timestamp_seconds{watchdog="uptime"} 1' in text


async def test_a_file_of_certificates_that_is_gone_is_told_to_who_uses_it(
    tmp_path: Path,
) -> None:
    text = "[[receiver]]\nname='ops'\nkind='webhook'\nurl='https://h'\nca_file='/no'\n"
    async with Bench(tmp_path, text).running() as made:
        await asyncio.sleep(0)
        (told,) = (await made.desk.test("ops")).items

    assert not told.delivered
