"""Against Debian's Prometheus: the alerts it evaluates, as we show them."""

from typing import Any

import msgspec
import pytest

from nexa_node.adapters.prometheus.rules import PrometheusRules
from nexa_node.contract.errors import Unavailable
from nexa_node.core.policies import AlertingPolicy
from nexa_node.wiring.outgoing import Outgoing
from nexa_node.wiring.receivers import alertmanager_of, foreign_rules_of
from tests.node.adapters.probes.servers import secret
from tests.node.adapters.prometheus.conftest import Server, a_prometheus, until
from tests.sinks import HttpSink

RULES = """
groups:
  - name: nodes
    rules:
      - alert: AlwaysOn
        expr: vector(42.5)
        labels: {severity: critical, odd: 'x"y'}
        annotations: {summary: 'it is {{ $value }}'}
      - alert: NotYet
        expr: vector(1)
        for: 1h
      - alert: Never
        expr: vector(1) > 2
"""


async def test_alerts_are_read_with_their_group_and_the_id_that_alertmanager_gives(
    alertmanager: Server, outgoing: Outgoing
) -> None:
    with a_prometheus(RULES, alertmanager.url) as url:
        rules = PrometheusRules(Server(url, outgoing).api("Prometheus"))

        async def both() -> list[Any] | None:
            found = await rules.alerts()
            return found if len(found) == 2 else None

        found = {one.labels["alertname"]: one for one in await until(both)}

        async def pushed() -> list[dict[str, Any]]:
            return await alertmanager.api().get("/api/v2/alerts", list[dict[str, Any]])

        (theirs,) = await until(pushed)

    on, waiting = found["AlwaysOn"], found["NotYet"]
    assert (on.firing, on.value, on.group) == (True, 42.5, "nodes")
    assert on.annotations == {"summary": "it is 42.5"}
    assert on.fired == on.since
    assert theirs["fingerprint"] == on.fingerprint
    assert (waiting.firing, waiting.fired) == (False, None)


async def test_a_prometheus_that_is_none_is_found_out(
    sink: HttpSink, outgoing: Outgoing
) -> None:
    rules = PrometheusRules(Server(sink.url, outgoing).api("Prometheus"))
    sink.default = (200, {}, b'{"status":"error"}')
    with pytest.raises(Unavailable):
        await rules.alerts()
    sink.default = (503, {}, b"no")
    with pytest.raises(Unavailable):
        await rules.alerts()


async def test_a_value_that_is_no_number_is_none(
    sink: HttpSink, outgoing: Outgoing
) -> None:
    fields = {"annotations": {}, "activeAt": "2026-03-01T12:00:00.123456789Z"}
    alerts = [
        {"labels": {"alertname": "A"}, "state": "firing", "value": "x", **fields},
        {"labels": {"alertname": "B"}, "state": "inactive", "value": "+Inf", **fields},
    ]
    rule = {"type": "alerting", "name": "A", "duration": 60, "alerts": alerts}
    groups = {"groups": [{"name": "g", "file": "f", "rules": [rule]}]}
    answer = msgspec.json.encode({"status": "success", "data": groups})
    sink.default = (200, {}, answer)
    (one,) = await PrometheusRules(Server(sink.url, outgoing).api()).alerts()

    assert one.value != one.value
    assert one.fired == one.since + 60


async def test_credentials_come_from_a_file(
    sink: HttpSink, outgoing: Outgoing, tmp_path: Any
) -> None:
    sink.default = (200, {}, b'{"status":"success","data":{"groups":[]}}')
    path = secret(tmp_path, "geheim")
    basic = AlertingPolicy(
        mode="external",
        prometheus=sink.url,
        alertmanagers=(sink.url,),
        username="anna",
        password_file=path,
    )
    bearer = AlertingPolicy(
        mode="external", prometheus=f"{sink.url}/prefix/", password_file=path
    )
    for policy in (basic, bearer):
        rules = foreign_rules_of(policy, outgoing)
        assert rules is not None
        assert await rules.alerts() == []

    assert [one.headers["authorization"] for one in sink.asked] == [
        "Basic YW5uYTpnZWhlaW0=",
        "Bearer geheim",
    ]
    assert sink.asked[1].path == "/prefix/api/v1/rules?type=alert"
    assert alertmanager_of(basic, outgoing) is not None
    assert alertmanager_of(AlertingPolicy(), outgoing) is None
    assert foreign_rules_of(AlertingPolicy(), outgoing) is None
