"""Prometheus' own programs against real nodes: they ask, and they scrape."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexa_tui.client.discovery import Target, local_nodes
from tests.deploy.dashboards import asked, boards
from tests.node.rules.test_builtin import GROUPS
from tests.node.services.metrics.moving import CONSTANT, MOVES, names
from tests.system.conftest import Shell, until
from tests.system.prometheus import Api, installed, promtool, scraping, with_token
from tests.system.town import Town


@pytest.fixture(scope="module", autouse=True)
def prometheus() -> None:
    if not installed():
        pytest.skip("there is no Prometheus, and Debian's can't be installed here")


@pytest.fixture
def there(shared: Shell) -> Target:
    """A node that has measured something."""
    (target,) = local_nodes(shared.environ)
    api = Api(target.url, target.token)
    until(lambda: api.values("up"), "the first tick", 30)
    return target


def test_what_a_node_tells_is_as_prometheus_wants_it(
    shared: Shell, there: Target
) -> None:
    told = shared("metrics", "--text").out
    checked = promtool("check", "metrics", text=told)

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    assert names(told.splitlines()) <= MOVES.keys() | CONSTANT, "without a mover"
    assert "nexa_node_cpu_seconds_total" in told


def test_promtool_asks_a_node(there: Target) -> None:
    url, now = with_token(there), int(time.time())

    instant = promtool("query", "instant", url, "up")
    over_time = promtool(
        "query", "range", f"--start={now - 60}", "--step=10s", url, "sum(up)"
    )
    series = promtool("query", "series", "--match=up", url)
    labels = promtool("query", "labels", url, "job")
    refused = promtool("query", "instant", url, "holt_winters(up[5m], 1, 1)")

    assert 'job="nexa"' in instant.stdout, instant.stderr
    assert " => 1 @" in instant.stdout
    assert "1 @[" in over_time.stdout, over_time.stderr
    assert '__name__="up"' in series.stdout, series.stderr
    assert labels.stdout.strip() == "nexa", labels.stderr
    assert refused.returncode != 0
    assert "holt_winters" in refused.stderr


def test_an_operator_asks_a_node(shared: Shell, there: Target) -> None:
    now = shared("metrics", "up")
    as_json = shared("metrics", "up", "--json").json()
    over_time = shared("metrics", "sum(up)", "--range", "5m", "--step", "10s")
    number = shared("metrics", "1 + 1")
    summary = shared("metrics")
    refused = shared("metrics", "up[5m")
    top = shared("top", "--json").json()
    shown = shared("top")

    assert 'up{instance="shared", job="nexa"}' in now.out
    assert as_json["resultType"] == "vector"
    assert "all of it" in over_time.out
    assert number.out.strip() == "2"
    assert "processor" in summary.out
    assert {item["key"] for item in shared("metrics", "--json").json()["items"]} > {
        "cpu"
    }
    assert refused.code != 0
    assert "parse error" in refused.err
    assert [one["name"] for one in top["nodes"]] == ["shared"]
    assert "shared" in shown.out
    assert not shared("metrics", "nothing_of_the_kind").out


IDLE = {
    "alerts: Certificates",
    "alerts: Dead man's switch",
    "alerts: Fired, by name",
    "alerts: Watchdogs outside",
    "cluster: Behind the leader",
    "cluster: Copies missing",
    "cluster: Whole copies",
    "overview: Tasks that wait",
    "tasks: Age of the oldest",
    "tasks: Budget left",
    "tasks: Dead letters",
    "tasks: Duration, p50 and p95",
    "tasks: Handed out",
    "tasks: Tasks that wait",
    "tasks: Wait for an agent, p95",
    *(f"{board}: Alerts that fire" for board in boards()),
}
"""Panels with nothing to show of a node that is alone, by HTTP, and has no work."""


def test_a_node_answers_every_panel_of_the_dashboards(there: Target) -> None:
    api = Api(there.url, there.token)
    left = {one.id: one for one in asked()}
    assert left.keys() >= IDLE

    def shown() -> bool:
        """Ask what had nothing to show yet: rates want a second tick, rules a first."""
        span = {"start": int(time.time()) - 60, "end": int(time.time()), "step": 10}
        for name, one in list(left.items()):
            if api("query_range", query=one.expression(), **span)["result"]:
                del left[name]
        return left.keys() <= IDLE

    until(shown, "every panel shows something", 60)


LATER = {
    "nexa_certificate_expiry_timestamp_seconds",
    "nexa_llm_budget_remaining_ratio",
    "nexa_queue_depth",
    "nexa_queue_oldest_message_age_seconds",
    "nexa_replication_lag_messages",
    "nexa_stream_replicas_current",
    "nexa_stream_replicas_expected",
    "nexa_task_queue_wait_seconds_bucket",
    "nexa_watchdog_last_delivered_timestamp_seconds",
    "nexa_watchdog_last_seen_timestamp_seconds",
    "nexa:queue_depth:max",
}
"""Of what is not there from the start: queues, copies, certificates, watchdogs."""


def test_no_built_in_rule_is_blind_on_a_new_node(there: Target) -> None:
    api = Api(there.url, there.token)
    selected = {
        found
        for group in GROUPS
        for rule in group.rules
        for found in re.findall(
            r"(nexa[_:][\w:]+|process_\w+|up)(\{[^}]*\})?", rule.text
        )
    }
    left = {name + matchers for name, matchers in selected if name not in LATER}

    def seen() -> bool:
        left.difference_update(
            [one for one in left if api("query", query=one)["result"]]
        )
        return not left

    until(seen, "every selector matches something", 40)


def test_promtool_without_a_token_is_refused(there: Target) -> None:
    asked = promtool("query", "instant", there.url, "up")

    assert asked.returncode != 0
    assert "401" in asked.stderr


def test_prometheus_finds_and_scrapes_a_node(there: Target, tmp_path: Path) -> None:
    with scraping(tmp_path, there) as api:
        until(lambda: set(api.values("up").values()) == {1.0}, "it is scraped")
        mine = Api(there.url, there.token)

        assert api.values("up").keys() == mine.values("up").keys()
        until(lambda: scraped(mine) <= scraped(api), "all is scraped")
        theirs = {one for one in scraped(api) if not one.startswith("scrape_")}
        until(lambda: theirs <= scraped(mine), "all is recorded")


def scraped(api: Api) -> set[str]:
    """Names of what a scrape tells: not of what rules record."""
    every = {"match[]": '{job="nexa",__name__!~"ALERTS.*|nexa:.*"}'}
    return {one["__name__"] for one in api("series", **every)}


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = Town(tmp_path)
    yield made
    made.end()


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_three_nodes_know_each_other_and_are_scraped(
    town: Town, tmp_path: Path
) -> None:
    town.found("alpha")
    town.join("beta", "alpha")
    town.join("gamma", "alpha")
    names = {"alpha", "beta", "gamma"}
    apis = {
        name: Api(town.target(name).url, town.target("alpha").token) for name in names
    }
    alive = dict.fromkeys(names, 1.0)
    for name, api in apis.items():
        until(lambda api=api: api.values("up") == alive, f"{name} hears all", 40)
        known = api.values("nexa_cluster_members_expected")
        assert known == dict.fromkeys(names, 3.0)

    with scraping(tmp_path, town.target("alpha")) as scraped:
        until(lambda: scraped.values("up") == alive, "all are scraped")
    town.kill("gamma")
    for name in ("alpha", "beta"):
        until(
            lambda api=apis[name]: api.values("up") == {**alive, "gamma": 0.0},
            f"{name} misses gamma",
            40,
        )
        past = apis[name].values("last_over_time(nexa_node_load1[5m])")
        assert past.keys() == names
    town.again("gamma")
    until(
        lambda: (
            Api(town.target("gamma").url, town.target("alpha").token)
            .values("count_over_time(nexa_node_load1[10m])")
            .get("alpha", 0)
            > 3
        ),
        "gamma has the past of the others",
        40,
    )
