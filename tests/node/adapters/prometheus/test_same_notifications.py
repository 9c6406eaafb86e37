"""The same alerts to Debian's Alertmanager and to us: the same notifications come out.

Each step waits until both have told; nothing is measured in time.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from nexa_node.adapters.host.clock import SystemClock
from nexa_node.adapters.prometheus.alertmanager import Alertmanager
from nexa_node.contract.alerts import Alert, LabelMatcher, Silence
from nexa_node.core.alerting.notifying.routes import routes_of
from nexa_node.core.policies import ReceiverPolicy, RoutePolicy
from nexa_node.services.alerting.delivering import Counts, Outbox
from nexa_node.services.alerting.notifying import Notifier
from nexa_node.wiring.outgoing import Outgoing
from nexa_node.wiring.receivers import receiver_of
from tests import alerting
from tests.alerting import MemoryDeliveries, around
from tests.node.adapters.prometheus.conftest import Server, an_alertmanager
from tests.sinks import HttpSink, http_sink

CONFIG = """
route: {{receiver: ops, group_by: [team], group_wait: 300ms, group_interval: 1s, repeat_interval: {repeat}}}
receivers: [{{name: ops, webhook_configs: [{{url: '{url}'}}]}}]
"""


def now() -> datetime:
    return datetime.now(UTC)


class Both:
    """Two that are told the same, and what each tells."""

    def __init__(
        self, theirs: HttpSink, ours: HttpSink, server: Alertmanager, notifier: Notifier
    ) -> None:
        self.theirs, self.ours = theirs, ours
        self.server, self.notifier = server, notifier
        self.alerts: dict[str, Alert] = {}
        self.steps = 0

    def fires(self, name: str) -> None:
        moment = now().replace(microsecond=0)
        self.alerts[name] = alerting.alert(
            name, labels={"team": "x"}, fired=moment, since=moment
        )

    def is_over(self, name: str) -> None:
        self.alerts[name] = msgspec.structs.replace(
            self.alerts[name], state="resolved", resolved=now().replace(microsecond=0)
        )

    async def silence(self, name: str) -> str:
        made = await self.server.put_silence(
            Silence(
                id="", matchers=(LabelMatcher(name="alertname", kind="=", value=name),),
                starts=now(), ends=now() + timedelta(hours=1), by="x", comment="c", created=now(),
            )
        )  # fmt: skip
        self.alerts[name] = msgspec.structs.replace(
            self.alerts[name], silenced_by=(made,)
        )
        return made

    async def tell(self) -> list[tuple[str, str]]:
        """Tell both; what both then told, as pairs of a name and a status."""
        alerts = list(self.alerts.values())
        await asyncio.gather(
            self.server.push(alerts, ends=now() + timedelta(minutes=5)),
            self.notifier.told(alerts),
        )
        return await self.heard()

    async def heard(self) -> list[tuple[str, str]]:
        self.steps += 1
        await asyncio.gather(self.theirs.until(self.steps), self.ours.until(self.steps))
        theirs, ours = (self._body(sink) for sink in (self.theirs, self.ours))
        assert ours == theirs
        return [(one["labels"]["alertname"], one["status"]) for one in ours["alerts"]]

    def _body(self, sink: HttpSink) -> Any:
        body = sink.asked[self.steps - 1].json
        body.pop("externalURL")
        return body


@pytest.fixture
async def outgoing() -> AsyncIterator[Outgoing]:
    made = Outgoing()
    yield made
    for client in made._open:
        await client.aclose()


@pytest.fixture
async def both(
    outgoing: Outgoing, request: pytest.FixtureRequest
) -> AsyncIterator[Both]:
    repeat_s = request.param
    async with http_sink() as theirs, http_sink() as ours:
        receiver = receiver_of(
            ReceiverPolicy(name="ops", kind="webhook", url=ours.url), outgoing
        )
        surroundings = around(SystemClock())  # type: ignore[arg-type]  # a real one
        notifier = Notifier(
            routes_of(
                [
                    RoutePolicy(
                        receivers=("ops",), group_by=("team",), group_wait_ms=300,
                        group_interval_ms=1000, repeat_hours=repeat_s / 3600,
                    )
                ],
                ("ops",),
            ),
            Outbox({"ops": receiver}, MemoryDeliveries(), surroundings, Counts()),
            [receiver],
            around=surroundings,
            is_ours=lambda: True,
        )  # fmt: skip
        running = asyncio.ensure_future(notifier.run())
        with an_alertmanager(
            CONFIG.format(url=theirs.url, repeat=f"{repeat_s}s")
        ) as url:
            yield Both(
                theirs, ours, Alertmanager([Server(url, outgoing).api()]), notifier
            )
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


@pytest.mark.parametrize("both", [3600], indirect=True)
async def test_alerts_that_come_go_return_and_are_silenced(both: Both) -> None:
    both.fires("A")
    assert await both.tell() == [("A", "firing")]
    both.fires("B")
    assert await both.tell() == [("A", "firing"), ("B", "firing")]
    both.is_over("A")
    assert await both.tell() == [("A", "resolved"), ("B", "firing")]
    both.fires("A")
    assert await both.tell() == [("A", "firing"), ("B", "firing")]
    await both.silence("B")
    both.is_over("A")
    assert await both.tell() == [("A", "resolved")]
    del both.alerts["A"]
    both.fires("C")
    assert await both.tell() == [("C", "firing")]
    both.is_over("C")
    assert await both.tell() == [("C", "resolved")]

    assert len(both.theirs.asked) == len(both.ours.asked) == 7


@pytest.mark.parametrize("both", [2], indirect=True)
async def test_what_still_fires_is_repeated(both: Both) -> None:
    both.fires("A")
    assert await both.tell() == [("A", "firing")]
    assert await both.heard() == [("A", "firing")]
