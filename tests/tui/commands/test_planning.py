"""Dangerous commands tell their plan, carry one out, and ask a person with it."""

import io
from collections.abc import Iterator
from typing import Any

import pytest

from nexa_node.adapters.asgi.plan_example import PLAN
from nexa_node.contract.cluster import ClusterChange
from nexa_node.contract.errors import Conflict
from nexa_node.contract.rest import Page
from nexa_node.contract.tasks import Queue, Redriven
from tests import builders
from tests.tui import clusters
from tests.tui.served import Port, Said, Terminal, port, say

CHANGE = ClusterChange(done=False, what="beta leaves", effects=("one less",), plan=PLAN)
DONE = ClusterChange(done=True, what="beta leaves", effects=("one less",))
NODE = f"/v1/nodes/{builders.NODE_ID}"
ENDING = {
    "token revoke": ("DELETE /v1/tokens/t1", "t1 is revoked"),
    "cert revoke": ("DELETE /v1/tokens/t1", "t1 is revoked"),
    "role delete": ("DELETE /v1/roles/t1", "t1 is deleted"),
    "agents disconnect": ("POST /v1/agents/t1/disconnect", "t1 is disconnected"),
}
CHANGING = {
    "cluster leave": "POST /v1/cluster/leave",
    "cluster remove beta": "POST /v1/nodes/beta/remove",
    "cluster replicas 1": "POST /v1/cluster/replicas",
    "cluster rotate": "POST /v1/cluster/rotate",
}


@pytest.fixture
def there() -> Iterator[Port]:
    with port() as made:
        made.answers |= {
            "GET /v1/cluster": clusters.ONE,
            "GET /v1/node": builders.node_status(),
        }
        for line, _ in ENDING.values():
            made.answers |= {line: None, f"{line}?dry_run=true": PLAN}
        for line in CHANGING.values():
            made.answers |= {line: DONE, f"{line}?dry_run=true": CHANGE}
        yield made


@pytest.fixture
def tell(there: Port, tmp_path: Any) -> Any:
    def told(words: str, *more: str) -> Said:
        return say(tmp_path, there.url, *words.split(), *more)

    return told


def at(monkeypatch: pytest.MonkeyPatch, terminal: bool, text: str = "") -> None:
    monkeypatch.setattr("sys.stdin", Terminal(text) if terminal else io.StringIO(text))


@pytest.mark.parametrize("words", ENDING)
class TestEnding:
    def test_a_dry_run_tells_the_plan_and_the_command(
        self, there: Port, tell: Any, words: str
    ) -> None:
        said = tell(f"{words} t1 --dry-run", "--attach", there.url)

        assert said.code == 0, said.err
        assert PLAN.what in said.out
        assert "12 agents, 3 tasks" in said.out
        do = f"nexa {words} t1 --attach {there.url} --plan {PLAN.id}"
        assert do in said.err
        assert [line for line, _ in there.asked] == [f"{ENDING[words][0]}?dry_run=true"]

    def test_a_plan_is_carried_out(self, there: Port, tell: Any, words: str) -> None:
        said = tell(f"{words} t1 --plan {PLAN.id}")

        line, told = ENDING[words]
        assert told in said.out
        assert there.asked == [(f"{line}?plan={PLAN.id}", None)]

    def test_a_person_is_asked_and_what_he_saw_is_done(
        self, there: Port, tell: Any, words: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        at(monkeypatch, True, "y\n")
        said = tell(f"{words} t1")

        line, _ = ENDING[words]
        assert PLAN.effects[0] in said.err
        asked = [f"{line}?dry_run=true", f"{line}?plan={PLAN.id}"]
        assert [each for each, _ in there.asked] == asked

    def test_a_no_does_nothing(
        self, there: Port, tell: Any, words: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        at(monkeypatch, True, "\n")

        assert tell(f"{words} t1").code == 1
        assert [line for line, _ in there.asked] == [f"{ENDING[words][0]}?dry_run=true"]

    def test_a_script_means_what_it_says(
        self, there: Port, tell: Any, words: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        at(monkeypatch, False)

        assert tell(f"{words} t1").code == 0
        assert [line for line, _ in there.asked] == [ENDING[words][0]]


@pytest.mark.parametrize("words", CHANGING)
class TestChanging:
    def test_a_dry_run_tells_the_plan_and_the_command(
        self, there: Port, tell: Any, words: str
    ) -> None:
        said = tell(f"{words} --dry-run")

        assert said.out.startswith("beta leaves\n  one less\n")
        assert f"nexa {words} --plan {PLAN.id}" in said.err

    def test_a_plan_is_carried_out_without_asking(
        self, there: Port, tell: Any, words: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        at(monkeypatch, False)

        assert tell(f"{words} --plan {PLAN.id}").code == 0
        asked = [line for line, _ in there.asked]
        assert asked == [f"{CHANGING[words]}?plan={PLAN.id}"]

    def test_what_a_person_saw_is_done(
        self, there: Port, tell: Any, words: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        at(monkeypatch, True, "y\n")

        assert tell(words).code == 0
        assert there.asked[-1][0] == f"{CHANGING[words]}?plan={PLAN.id}"


@pytest.mark.parametrize("words", [*(f"{each} t1" for each in ENDING), *CHANGING])
def test_a_stale_plan_is_an_error_of_one_line(
    there: Port, tell: Any, words: str
) -> None:
    stale = Conflict("the plan is stale: nodes: x is new", remedy="--dry-run")
    there.answers = dict.fromkeys(there.answers, stale)

    said = tell(f"{words} --plan {PLAN.id}")

    assert said.code == 1
    assert said.err.startswith("nexa: the plan is stale: nodes: x is new — mend: --dry")


@pytest.mark.parametrize("words", [*(f"{each} t1" for each in ENDING), *CHANGING])
def test_a_plan_is_not_made_and_carried_out_at_once(
    there: Port, tell: Any, words: str
) -> None:
    assert tell(f"{words} --plan x --dry-run").code == 2
    assert there.asked == []


class TestDeadLetters:
    def test_a_dry_run_names_the_command(self, there: Port, tell: Any) -> None:
        told = Redriven(done=("t1",), failed={}, plan=PLAN)
        there.answers["POST /v1/dead-letters/purge?dry_run=true"] = told

        said = tell("dead-letters purge --type wc --namespace lab --dry-run")

        assert "1 would be forgotten" in said.out
        do = f"nexa dead-letters purge --type wc --namespace lab --plan {PLAN.id}"
        assert do in said.err

    def test_a_plan_is_carried_out(self, there: Port, tell: Any) -> None:
        line = f"POST /v1/dead-letters/purge?plan={PLAN.id}"
        there.answers[line] = Redriven(done=("t1",), failed={})

        assert tell(f"dead-letters purge --all --plan {PLAN.id}").code == 0
        assert [each for each, _ in there.asked] == [line]

    def test_a_person_is_asked_before_they_come_back(
        self, there: Port, tell: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        there.answers["POST /v1/dead-letters/redrive"] = Redriven(
            done=("t1",), failed={}
        )
        at(monkeypatch, True, "n\n")

        said = tell("dead-letters redrive --all")

        assert "1 dead letters would be back" in said.err
        assert len(there.asked) == 1


class TestDrain:
    def test_a_plan_of_a_drain(self, there: Port, tell: Any) -> None:
        name = clusters.ONE.nodes[0]
        line = f"POST /v1/nodes/{name.id}/drain"
        there.answers |= {line: None, f"{line}?dry_run=true": PLAN}

        said = tell(f"node drain {name.name} --dry-run")
        done = tell(f"node drain {name.name} --plan {PLAN.id}")

        assert f"nexa node drain {name.name} --plan {PLAN.id}" in said.err
        assert done.code == 0
        assert there.asked[-1][0] == f"{line}?plan={PLAN.id}"


class TestScale:
    def test_a_plan_is_of_these_steps_and_members(
        self, there: Port, tell: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        at(monkeypatch, False)
        there.answers |= {
            "GET /v1/cluster": clusters.THREE,
            "GET /v1/queues": Page[Queue](items=()),
        }
        said = tell("cluster scale 4 --dry-run --json")
        plan = said.json()["plan"]
        stale = tell(f"cluster scale 5 --plan {plan}")
        both = tell(f"cluster scale 4 --dry-run --plan {plan}")
        told = tell("cluster scale 4 --dry-run")

        assert plan.startswith("scale-")
        assert "the plan is stale, nothing was done" in stale.err
        assert both.code == 2
        assert f"nexa cluster scale 4 --plan {plan}" in told.err
        assert there.asked == []


def test_a_dry_run_as_json_is_the_plan(there: Port, tell: Any) -> None:
    said = tell("token revoke t1 --dry-run --json")

    assert said.json()["id"] == PLAN.id
    assert said.err == ""


def test_what_was_done_is_told_as_json(there: Port, tell: Any) -> None:
    assert tell("token revoke t1 --yes --json").json() == {"id": "t1", "revoked": True}


def test_a_command_that_is_too_long_is_not_cut(there: Port, tell: Any) -> None:
    ids = [f"t{number:060}" for number in range(9)]
    told = Redriven(done=tuple(ids), failed={}, plan=PLAN)  # type: ignore[arg-type]  # ids
    there.answers["POST /v1/dead-letters/purge?dry_run=true"] = told

    said = tell("dead-letters purge --dry-run", *ids)

    assert f"the same with --plan {PLAN.id}" in said.err


def test_a_node_that_makes_no_plans_is_changed_all_the_same(
    there: Port, tell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = ClusterChange(done=False, what="beta leaves")
    there.answers["POST /v1/cluster/leave?dry_run=true"] = older
    at(monkeypatch, True, "y\n")

    assert "--plan" not in tell("cluster leave --dry-run").err
    assert tell("cluster leave").code == 0
    assert there.asked[-1][0] == "POST /v1/cluster/leave"
