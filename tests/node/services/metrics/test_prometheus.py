"""Prometheus' HTTP API over what was recorded: its answers, and its errors."""

from typing import Any

import msgspec
import pytest

from nexa_node.contract.nodes import Cluster, Quorum
from nexa_node.core.history import TICK_MS
from nexa_node.services.api import PrometheusCall
from nexa_node.services.metrics import prometheus as module
from nexa_node.services.metrics.prometheus import Prometheus
from nexa_node.services.metrics.targets import targets_of
from tests import builders
from tests.node.services.metrics.recorders import Net, Place

START = 1_760_000_400_000
NOW_S = START / 1000 + 30


@pytest.fixture
async def api() -> Prometheus:
    net = Net()
    it = Place(net, "alpha")
    await it.recorder.begin()
    for number in range(4):
        at_ms = START + number * TICK_MS
        net.clock.jump(at_ms / 1000 - net.clock.now().timestamp())
        await it.recorder.tick(at_ms)
    return Prometheus(it.recorder, families=it.families, clock=net.clock)


async def ask(
    api: Prometheus, what: Any, *, label: str = "", status: int = 200, **form: str
) -> Any:
    given = {name.replace("match", "match[]"): [text] for name, text in form.items()}
    told = await api.ask(PrometheusCall(what, given, label))
    assert told.status == status, told.content
    return msgspec.json.decode(told.content)


async def test_queries_are_answered(api: Prometheus) -> None:
    now = await ask(api, "query", query="nexa_read_total")
    then = await ask(api, "query", query="nexa_read_total", time=str(START / 1000))
    span = {"start": str(START / 1000), "end": str(NOW_S), "step": "10s"}
    over = await ask(api, "query_range", query="sum(up)", **span)

    assert now["data"]["result"][0]["value"][1] == "4"
    assert then["data"]["result"][0]["value"][1] == "1"
    assert [value for _, value in over["data"]["result"][0]["values"]] == ["1"] * 4


async def test_series_and_labels_are_listed(api: Prometheus) -> None:
    series = await ask(api, "series", match="nexa_still")
    names = await ask(api, "labels")
    values = await ask(api, "values", label="kind", match="nexa_still")

    assert series["data"] == [
        {"__name__": "nexa_still", "kind": "a", "instance": "alpha", "job": "nexa"}
    ]
    assert names["data"] == ["__name__", "instance", "job", "kind"]
    assert values["data"] == ["a"]


async def test_what_is_known_besides_is_told(api: Prometheus) -> None:
    known = await ask(api, "metadata", metric="nexa_still")
    limited = await ask(api, "metadata", limit="1")
    build = await ask(api, "buildinfo")

    assert known["data"] == {
        "nexa_still": [{"type": "gauge", "help": "Never moves.", "unit": ""}]
    }
    assert len(limited["data"]) == 1
    assert build["data"]["version"] == "2.42.0"


class Rules:
    async def groups(self) -> list[dict[str, Any]]:
        return [{"name": "g", "rules": [{"type": "alerting"}, {"type": "recording"}]}]

    async def alerts(self) -> list[dict[str, Any]]:
        return [{"state": "firing"}]


async def test_rules_and_alerts_are_told_by_who_knows_them(api: Prometheus) -> None:
    assert (await ask(api, "rules"))["data"] == {"groups": []}
    assert (await ask(api, "alerts"))["data"] == {"alerts": []}
    api.rules = Rules()

    every = (await ask(api, "rules"))["data"]["groups"][0]["rules"]
    some = (await ask(api, "rules", type="record"))["data"]["groups"][0]["rules"]

    assert [one["type"] for one in every] == ["alerting", "recording"]
    assert [one["type"] for one in some] == ["recording"]
    assert (await ask(api, "alerts"))["data"] == {"alerts": [{"state": "firing"}]}


@pytest.mark.parametrize(
    ("what", "form", "status", "kind"),
    [
        ("query", {"query": "up +"}, 400, "bad_data"),
        ("query", {}, 400, "bad_data"),
        ("query", {"query": "up", "time": "soon"}, 400, "bad_data"),
        ("query", {"query": "up", "timeout": "soon"}, 400, "bad_data"),
        ("query", {"query": "up[5m]"}, 422, "execution"),
        ("query", {"query": "up", "timeout": "0.001"}, 503, "timeout"),
        ("query", {"query": "holt_winters(up[5m], 1, 1)"}, 400, "bad_data"),
        ("query_range", {"query": "up"}, 400, "bad_data"),
        (
            "query_range",
            {"query": "up", "start": "0", "end": "1000000", "step": "1"},
            400,
            "bad_data",
        ),
        ("series", {}, 400, "bad_data"),
        ("series", {"match": "rate(up[5m])"}, 400, "bad_data"),
    ],
)
async def test_errors_are_prometheus_own(
    api: Prometheus, what: str, form: dict[str, str], status: int, kind: str
) -> None:
    if kind == "timeout":
        form = {**form, "query": "+".join(["up"] * 100)}
        clock = (await api_clock(api)).clock
        clock.monotonic = slow(clock.monotonic)
    told = await ask(api, what, status=status, **form)

    assert told["status"] == "error"
    assert told["errorType"] == kind
    assert told["error"]


async def api_clock(api: Prometheus) -> Any:
    class Found:
        clock = api._clock  # pyright: ignore[reportPrivateUsage]

    return Found


def slow(monotonic: Any) -> Any:
    """A clock on which each look takes a second."""
    seen = [0.0]

    def told() -> float:
        seen[0] += 1.0
        return float(monotonic()) + seen[0]

    return told


async def test_before_the_first_tick_it_is_said_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "READY_S", 0.01)
    it = Place(Net(), "alpha")
    api = Prometheus(it.recorder, families=it.families, clock=it.net.clock)

    told = await ask(api, "query", query="up", status=503)

    assert told["errorType"] == "unavailable"


def test_targets_are_all_nodes_that_have_an_address() -> None:
    nodes = (
        builders.node("alpha", url="http://10.0.0.1:6392"),
        builders.node("beta", url="https://beta.example:7000"),
        builders.node("gamma", url=""),
    )
    cluster: Cluster = builders.cluster(nodes=nodes, quorum=Quorum(have=3, need=2))

    found = targets_of(cluster)

    assert [one.targets for one in found] == [
        ("10.0.0.1:6392",),
        ("beta.example:7000",),
    ]
    assert found[0].labels == {"instance": "alpha", "job": "nexa"}
    assert found[1].labels["__scheme__"] == "https"
