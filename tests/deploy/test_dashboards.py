"""Dashboards: what Grafana takes, and what whoever looks at them at night can use."""

import re
from typing import Any

import jsonschema
import pytest

from nexa_node.core.alerting.linting import catalogue
from nexa_node.core.promql.names import NAME
from nexa_node.core.promql.parsing import conditions, parse, selectors
from tests.deploy.dashboards import asked, boards, panels
from tests.deploy.grafana_schema import DASHBOARD, THRESHOLDS
from tests.node.rules.test_builtin import ALERTS, GROUPS, RULES

BOARDS = boards()
KNOWN = catalogue((RULES.parent / "catalogue.txt").read_text())
RECORDED = {rule.name for group in GROUPS for rule in group.rules if not rule.alerts}
EVERY = [
    pytest.param(board, panel, id=f"{name}: {panel['title']}")
    for name, board in BOARDS.items()
    for panel in panels(board)
]


def test_there_is_one_of_each_kind() -> None:
    assert set(BOARDS) == {
        "overview", "nodes", "messages", "tasks", "cluster", "alerts"
    }  # fmt: skip
    assert len({board["uid"] for board in BOARDS.values()}) == len(BOARDS)


@pytest.mark.parametrize("name", BOARDS)
def test_grafana_takes_it(name: str) -> None:
    jsonschema.validate(BOARDS[name], DASHBOARD)


@pytest.mark.parametrize(
    "broken",
    [
        {"mode": "absolute"},
        {"mode": "odd", "steps": [{"value": None, "color": "red"}]},
        {"mode": "absolute", "steps": [{"value": None, "color": "red", "x": 1}]},
    ],
)
def test_the_schema_is_strict(broken: Any) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, THRESHOLDS)


@pytest.mark.parametrize("name", BOARDS)
def test_panels_have_places_of_their_own(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    ids = [one["id"] for one in BOARDS[name]["panels"]]
    assert len(set(ids)) == len(ids)
    for one in BOARDS[name]["panels"]:
        at = one["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not taken & cells, one["title"]
        taken |= cells
    assert len(taken) >= 24


@pytest.mark.parametrize(("board", "panel"), EVERY)
def test_a_panel_explains_itself(board: Any, panel: Any) -> None:
    refs = [target["refId"] for target in panel["targets"]]
    assert len(set(refs)) == len(refs)
    assert panel["description"].split("\n\nAlerts:")[0].endswith((".", ")."))
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    values = [step["value"] for step in steps]
    assert values[0] is None
    assert values[1:] == sorted(values[1:])
    if panel["type"] == "timeseries":
        line = panel["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"]["mode"]
        assert (line == "dashed") == (len(steps) > 1)
        if len(panel["targets"]) > 1:
            legends = {target["legendFormat"] for target in panel["targets"]}
            assert len(legends) == len(refs), "lines that can't be told apart"
    named = re.findall(r"\bNexa[A-Z]\w+", panel["description"])
    assert set(named) <= set(ALERTS)
    assert [link["url"] for link in panel.get("links", ())] == [
        "${runbooks}" + name for name in named
    ]


def test_every_alert_is_on_a_panel_that_leads_to_its_runbook() -> None:
    led = {
        link["title"].removeprefix("Runbook: ")
        for board in BOARDS.values()
        for panel in panels(board)
        for link in panel.get("links", ())
    }
    assert led == set(ALERTS)


@pytest.mark.parametrize("name", BOARDS)
def test_variables_are_there_and_used(name: str) -> None:
    board = BOARDS[name]
    there = {one["name"]: one for one in board["templating"]["list"]}
    used = {
        found
        for one in asked()
        if one.board == name
        for found in re.findall(r"\$(\w+)", one.text)
    } - {"__rate_interval"}
    assert used | {"datasource", "runbooks"} == set(there)
    for variable in there.values():
        if variable["type"] == "query":
            said = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"])
            assert said
            (selector,) = selectors(parse(said[1]))
            names = [one.value for one in conditions(selector) if one.label == NAME]
            assert said[2] in KNOWN[names[0]] | {"instance"}
            assert variable["includeAll"]
            assert variable["allValue"] == ".*"


@pytest.mark.parametrize("one", asked(), ids=lambda one: one.id)
def test_an_expression_asks_for_what_there_is(one: Any) -> None:
    for selector in selectors(parse(one.expression())):
        wanted = {each.label: each for each in conditions(selector)}
        name = wanted[NAME].value
        if name == "ALERTS":
            assert wanted["alertname"].kind in ("=", "=~")
            continue
        assert name in KNOWN or name in RECORDED, name
        if name in KNOWN:
            assert set(wanted) - {NAME} <= KNOWN[name] | {"job", "instance"}
            assert wanted["job"].value == "nexa", "another program's figures"
