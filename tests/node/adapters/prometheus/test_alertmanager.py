"""Against Debian's Alertmanager: what is pushed, silenced, acknowledged, notified."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema
import msgspec
import pytest

from nexa_node.adapters.host.clock import SystemClock
from nexa_node.adapters.prometheus.alertmanager import Alertmanager
from nexa_node.contract.alerts import Alert, LabelMatcher, NewSilence, Silence
from nexa_node.contract.errors import Invalid, Unavailable
from nexa_node.core.alerting.notifying.groups import Groups
from nexa_node.core.alerting.notifying.routes import routes_of
from nexa_node.core.alerting.notifying.tracks import Hearer, decide
from nexa_node.core.alerting.notifying.webhook import webhook_body
from nexa_node.core.policies import RoutePolicy
from nexa_node.services.alerting.delivering import Counts
from nexa_node.services.alerting.mirroring import Mirror, MirroredSilences
from nexa_node.wiring.outgoing import Outgoing
from tests import alerting
from tests.alerting import ack, around
from tests.fakes import RecordingJournal
from tests.node.adapters.notify.schemas import WEBHOOK
from tests.node.adapters.prometheus.conftest import Server, until
from tests.sinks import HttpSink

OPS = Hearer(name="ops", kind="webhook")
ROUTES = routes_of(
    [
        RoutePolicy(
            receivers=("ops",),
            match=('severity="critical"', 'team=~"a|b"'),
            group_wait_ms=0,
        ),
        RoutePolicy(receivers=("ops",), group_wait_ms=0),
    ],
    ("ops",),
)


def now() -> datetime:
    return datetime.now(UTC)


def alert(name: str, **more: Any) -> Alert:
    """One that fired a second ago, to the millisecond."""
    moment = now().replace(microsecond=125_000) - timedelta(seconds=1)
    return alerting.alert(name, **{"fired": moment, "since": moment, **more})


async def there(server: Server) -> list[dict[str, Any]]:
    return await server.api().get("/api/v2/alerts", list[dict[str, Any]])


def ours(*alerts: Alert) -> Any:
    """The body that we would send of the same alerts, all of one group."""
    groups, replace = Groups(ROUTES), msgspec.structs.replace
    fired = [replace(one, state="firing", resolved=None) for one in alerts]
    groups.told(fired, now=now(), tick=0.0)
    (first,) = groups.due(0.0)
    track = decide(None, first, OPS, now=now())
    if any(one.state == "resolved" for one in alerts):
        groups.told(alerts, now=now(), tick=0.0)
        (second,) = groups.due(0.0)
        track = decide(track, second, OPS, now=now())
    assert track is not None
    return msgspec.json.decode(webhook_body(track.notification(external_url="x")))


async def test_what_is_pushed_is_there_under_the_same_ids(alertmanager: Server) -> None:
    server = Alertmanager([alertmanager.api()], runbooks="https://runbooks.example/")
    alerts = [
        alert("A", labels={"node": "a", "odd": 'x"y\\z\n≥', "none": ""}),
        alert("B", annotations={"runbook_url": "nexa://runbook/B"}),
    ]
    assert await server.push(alerts, ends=now() + timedelta(minutes=4)) == ()
    found = await there(alertmanager)

    assert {
        one["fingerprint"] for one in found if one["labels"]["alertname"] == "B"
    } == {alerts[1].fingerprint}
    assert len(found) == 2
    assert {one["generatorURL"][:13] for one in found} == {"nexa://alert/"}
    assert [
        one["annotations"] for one in found if one["labels"]["alertname"] == "B"
    ] == [{"runbook_url": "https://runbooks.example/B"}]


async def test_ids_are_equal_whatever_the_labels(alertmanager: Server) -> None:
    server = Alertmanager([alertmanager.api()])
    alerts = [
        alert("A", labels={"l": text, "n": str(n)})
        for n, text in enumerate(["x", 'q"', "\\", "\n\t", "é≥😀", "a" * 3000])
    ]
    await server.push(alerts, ends=now() + timedelta(minutes=4))

    assert {one["fingerprint"] for one in await there(alertmanager)} == {
        one.fingerprint for one in alerts
    }


@pytest.mark.parametrize(
    "alerts",
    [
        [("A", {})],
        [
            ("A", {"labels": {"instance": "b"}}),
            ("A", {"labels": {"instance": "a"}}),
            ("A", {"labels": {"job": "z", "x": "y"}}),
        ],
        [
            (
                "Q",
                {
                    "labels": {"team": "b", "odd": 'x"y\\≥'},
                    "annotations": {"summary": "<b>&\u2028", "d": "2"},
                },
            )
        ],
    ],
    ids=["one", "several", "routed"],
)
async def test_our_webhook_is_the_one_alertmanager_sends(
    alertmanager: Server, sink: HttpSink, alerts: list[tuple[str, dict[str, Any]]]
) -> None:
    server = Alertmanager([alertmanager.api()])
    made = [alert(name, **more) for name, more in alerts]
    await server.push(made, ends=now() + timedelta(minutes=4))
    await sink.until(1)
    over = [
        alerting.alert(
            name,
            **{
                **more,
                "fired": one.fired,
                "state": "resolved",
                "resolved": now().replace(microsecond=0),
            },
        )
        for (name, more), one in zip(alerts, made, strict=True)
    ]
    await server.push(over, ends=now() + timedelta(minutes=4))
    await sink.until(2)

    for asked, mine in ((sink.asked[0], ours(*made)), (sink.asked[1], ours(*over))):
        theirs = asked.json
        jsonschema.validate(theirs, WEBHOOK)
        assert theirs.pop("externalURL").startswith("http://")
        mine.pop("externalURL")
        assert mine == theirs
        assert list(mine) == list(theirs)
    assert asked.headers["content-type"] == "application/json"


async def test_silences_go_both_ways(alertmanager: Server) -> None:
    server = Alertmanager([alertmanager.api()])
    silences = MirroredSilences(server, around(SystemClock()))  # type: ignore[arg-type]
    matchers = (
        LabelMatcher(name="alertname", kind="=", value="A"),
        LabelMatcher(name="node", kind="!=", value="b"),
        LabelMatcher(name="team", kind="=~", value="a|b"),
        LabelMatcher(name="zone", kind="!~", value="x.*"),
    )
    made = await silences.create(
        NewSilence(matchers=matchers, comment="planned\nwork", duration_s=600),
        by="anna",
    )
    (theirs,) = await alertmanager.api().get("/api/v2/silences", list[dict[str, Any]])
    assert theirs["id"] == made.id
    assert [(one["isEqual"], one["isRegex"]) for one in theirs["matchers"]] == [
        (True, False), (False, False), (True, True), (False, True),
    ]  # fmt: skip
    (mine,) = silences.current()
    assert (mine.matchers, mine.comment, mine.by) == (matchers, "planned\nwork", "anna")

    await alertmanager.api().post(
        "/api/v2/silences",
        {
            "matchers": [{"name": "x", "value": "y", "isRegex": False}],
            "startsAt": now().isoformat(),
            "endsAt": (now() + timedelta(hours=1)).isoformat(),
            "createdBy": "karma",
            "comment": "ACK! theirs",
        },
    )
    await silences.read()
    assert {one.by for one in silences.current()} == {"anna", "karma"}
    await silences.expire(made.id)
    await silences.expire(made.id)
    assert {one.by for one in silences.current()} == {"karma"}


async def test_a_silence_keeps_its_id_when_it_is_extended(alertmanager: Server) -> None:
    server = Alertmanager([alertmanager.api()])
    first = Silence(
        id="", matchers=(LabelMatcher(name="a", kind="=", value="b"),), starts=now(),
        ends=now() + timedelta(minutes=1), by="x", comment="c", created=now(),
    )  # fmt: skip
    made = await server.put_silence(first)
    (found,) = await server.silences()
    again = await server.put_silence(
        msgspec.structs.replace(found, ends=now() + timedelta(hours=1))
    )

    assert again == made
    assert (await server.silences())[0].ends > now() + timedelta(minutes=50)


async def test_what_alertmanager_refuses_is_told_in_its_words(
    alertmanager: Server,
) -> None:
    server = Alertmanager([alertmanager.api()])
    bad = Silence(
        id="", matchers=(LabelMatcher(name="a", kind="=~", value="("),), starts=now(),
        ends=now() + timedelta(minutes=1), by="x", comment="c", created=now(),
    )  # fmt: skip
    with pytest.raises(Invalid) as told:
        await server.put_silence(bad)
    assert "regex" in told.value.message
    with pytest.raises(Invalid):
        await server.expire("../../x")
    await server.expire("00000000-0000-0000-0000-000000000000")


async def test_an_acknowledgement_silences_its_alert_there_until_it_is_taken_back(
    alertmanager: Server,
) -> None:
    server = Alertmanager([alertmanager.api()])
    mirror = Mirror(
        server,
        around(SystemClock(), RecordingJournal()),
        Counts(),
        scope="cluster",
        is_ours=lambda: True,
    )  # type: ignore[arg-type]
    minded = alert("A", labels={"node": "a"})

    async def state() -> tuple[str, list[str]] | None:
        found = [
            one
            for one in await there(alertmanager)
            if one["fingerprint"] == minded.fingerprint
        ]
        return (
            (found[0]["status"]["state"], found[0]["status"]["silencedBy"])
            if found
            else None
        )

    running = asyncio.ensure_future(mirror.run())
    try:
        await mirror.told([minded])
        await until(state)
        await mirror.told(
            [msgspec.structs.replace(minded, ack=ack("anna", at=now(), note="mine"))]
        )
        mirror._acks_at = 0.0

        async def suppressed() -> bool:
            found = await state()
            return found is not None and found[0] == "suppressed"

        await until(suppressed)
        (silence,) = await server.silences()
        assert silence.comment.startswith("ACK! mine")
        await mirror.told([minded])
        mirror._acks_at = 0.0

        async def active() -> bool:
            found = await state()
            return found is not None and found[0] == "active"

        await until(active)
        assert await server.silences() == []
    finally:
        running.cancel()


async def test_every_member_is_told_and_who_is_away_is_named(
    alertmanager: Server, outgoing: Outgoing
) -> None:
    away = Server("http://127.0.0.1:1", outgoing)
    server = Alertmanager([away.api(), alertmanager.api()])
    (failure,) = await server.push([alert("A")], ends=now() + timedelta(minutes=4))

    assert "http://127.0.0.1:1" in failure
    assert len(await there(alertmanager)) == 1
    assert (await server.status()).startswith("Alertmanager 0.")
    assert await server.silences() == []
    alone = Alertmanager([away.api()])
    with pytest.raises(Unavailable):
        await alone.push([alert("A")], ends=now())
    with pytest.raises(Unavailable):
        await alone.status()


async def test_a_server_that_is_no_alertmanager_is_found_out(
    sink: HttpSink, outgoing: Outgoing
) -> None:
    server = Alertmanager([Server(sink.url, outgoing).api()])
    with pytest.raises(Unavailable, match="does not answer as its API promises"):
        await server.silences()
    sink.default = (401, {}, b"who?")
    with pytest.raises(Unavailable, match="401"):
        await server.silences()
    sink.default = (302, {"location": "http://127.0.0.1:1"}, b"")
    with pytest.raises(Unavailable, match="302"):
        await server.expire("a")
