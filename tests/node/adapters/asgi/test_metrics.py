"""Prometheus' own API on our port: its forms, its ways to say who one is, its answers."""

import base64

import httpx
import pytest

from nexa_node.adapters.asgi import examples
from nexa_node.core.policies import HttpPolicy
from nexa_node.services.api import PrometheusCall
from tests.node.adapters.asgi.fake_node import ADMIN, Port, opened, raw


async def test_parameters_come_by_query_and_by_form_and_as_often_as_they_stand(
    port: Port,
) -> None:
    by_query = await port.http.get(
        "/api/v1/series?match[]=up&match[]=down&start=1&_=1234"
    )
    by_form = await port.http.post(
        "/api/v1/series?match[]=up", data={"match[]": "down", "start": "1"}
    )

    assert (by_query.status_code, by_form.status_code) == (200, 200)
    assert by_query.json() == examples.PROMETHEUS
    first, second = (call for _, call in port.node.asked)
    wanted = {"match[]": ["up", "down"], "start": ["1"]}
    assert first == PrometheusCall("series", {**wanted, "_": ["1234"]})
    assert second == PrometheusCall("series", wanted)


async def test_an_answers_status_is_prometheus_own(port: Port) -> None:
    answer = await port.http.get("/api/v1/query")

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"status": "error"}


async def test_a_labels_values_are_asked_by_its_name(port: Port) -> None:
    answer = await port.http.get("/api/v1/label/__name__/values?match[]=up")

    assert answer.status_code == 200
    assert port.node.asked == [
        ("prometheus", PrometheusCall("values", {"match[]": ["up"]}, "__name__"))
    ]


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("query_range", "query_range"),
        ("labels", "labels"),
        ("metadata", "metadata"),
        ("rules", "rules"),
        ("alerts", "alerts"),
        ("status/buildinfo", "buildinfo"),
    ],
)
async def test_every_path_is_answered(port: Port, path: str, what: str) -> None:
    answer = await port.http.get(f"/api/v1/{path}")

    assert answer.status_code == 200
    assert port.node.asked == [("prometheus", PrometheusCall(what, {}))]  # type: ignore[arg-type]


async def test_targets_are_a_bare_list(port: Port) -> None:
    answer = await port.http.get("/v1/prometheus/targets")

    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == [
        {
            "targets": ["127.0.0.1:6392"],
            "labels": {"instance": "alpha", "job": "nexa"},
        }
    ]


def basic(text: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}


@pytest.mark.parametrize(
    "path", ["/metrics", "/api/v1/labels", "/v1/prometheus/targets"]
)
async def test_a_token_may_be_the_password_where_prometheus_asks(
    port: Port, path: str
) -> None:
    async with httpx.AsyncClient(base_url=port.url, trust_env=False) as http:
        good = await http.get(path, headers=basic(f"any:{ADMIN}"))
        wrong = await http.get(path, headers=basic("any:no-token"))
        garbled = await http.get(path, headers={"Authorization": "Basic ?"})

    assert good.status_code == 200
    assert (wrong.status_code, garbled.status_code) == (401, 401)


async def test_a_password_is_no_token_elsewhere(port: Port) -> None:
    async with httpx.AsyncClient(base_url=port.url, trust_env=False) as http:
        answer = await http.get("/v1/node", headers=basic(f"any:{ADMIN}"))

    assert answer.status_code == 401


async def test_a_form_that_is_none_is_refused(port: Port) -> None:
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    latin = await port.http.post("/api/v1/query", content=b"query=%ff", headers=kind)
    many = await port.http.post(
        "/api/v1/series", content=b"&".join([b"match[]=up"] * 300), headers=kind
    )

    assert (latin.status_code, many.status_code) == (400, 400)
    assert port.node.asked == []


async def test_a_form_that_is_too_large_or_too_slow_is_refused() -> None:
    policy = HttpPolicy(body_bytes=100, body_timeout_ms=50, shutdown_timeout_ms=300)
    async with opened(policy=policy) as port:
        large = await port.http.post("/api/v1/query", data={"query": "1+" * 100})

        slow = await raw(
            port.number,
            b"POST /api/v1/query HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\n"
            b"Content-Length: 50\r\nAuthorization: Bearer "
            + ADMIN.encode()
            + b"\r\n\r\nquery=",
        )

    assert large.status_code == 413
    assert slow.startswith(b"HTTP/1.1 408")
