"""`nexa alerts`, `nexa silences` and the rules' list, against a port."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nexa_node.adapters.asgi import alert_examples as examples
from nexa_node.contract.alerts import Alert, EvidenceSeries, SilencePreview
from nexa_node.contract.errors import NotFound
from nexa_node.contract.rest import Page
from nexa_tui.commands import rules_list
from nexa_tui.commands.alert_card import tell_detail
from nexa_tui.commands.output import Call
from tests.tui.served import Port, Said, port, say

KEY = examples.ALERT.fingerprint
change = msgspec.structs.replace
EVIL = change(
    examples.ALERT,
    fingerprint="8d6fffffffffffff",
    name="Evil\x1b[2J",
    annotations={"summary": "\x1b[31mred"},
    ack=None,
    unseen=True,
    flapping=True,
    changes=7,
    state="resolved",
)


@pytest.fixture
def there() -> Iterator[Port]:
    with port() as made:
        made.answers |= {
            "GET /v1/alerts": Page(items=(examples.ALERT, EVIL), next_cursor="more"),
            f"GET /v1/alerts/{KEY}": examples.DETAIL,
            "GET /v1/alerts/history": examples.CHANGES,
            "GET /v1/alerts/handover": examples.HANDOVER,
            "GET /v1/silences": examples.SILENCES,
            "POST /v1/silences": examples.SILENCE,
            "POST /v1/silences/preview": examples.PREVIEW,
            "DELETE /v1/silences/s-1": None,
            "GET /v1/rules": examples.RULES,
            "POST /v1/rules/reload": change(
                examples.RULES_LOADED, warnings=("mine.yaml:3: no\x1b[2J",)
            ),
            **{
                f"POST /v1/alerts/{KEY}/{what}": examples.ALERT
                for what in ("ack", "unack", "note", "dismiss")
            },
        }
        yield made


@pytest.fixture
def tell(there: Port, tmp_path: Path) -> Any:
    def told(*words: str) -> Said:
        return say(tmp_path, there.url, *words)

    return told


def test_the_board_is_a_table_without_a_word_that_a_terminal_acts_on(
    tell: Any,
) -> None:
    said = tell("alerts")
    assert said.code == 0
    assert "\x1b" not in said.out
    first, second = said.out.splitlines()[1:]
    assert first.startswith(KEY)
    assert "ann" in first
    assert "resolved, unseen, flapping 7x" in second
    assert "nexa alerts list --cursor more" in said.err


def test_json_is_what_scripts_rely_on(tell: Any) -> None:
    told = tell("alerts", "list", "--json").json()
    first = told["items"][0]
    assert {
        "fingerprint", "name", "state", "severity", "labels", "annotations", "since",
        "ack", "silenced_by",
    } <= first.keys()  # fmt: skip
    assert first["ack"]["by"] == "ann"
    assert told["next_cursor"] == "more"


def test_filters_go_to_the_node(there: Port, tell: Any) -> None:
    calls: list[str] = []
    there.before = calls.append
    tell("alerts", "list", "--state", "firing", "--severity", "critical", "--name", "A")
    assert "state=firing" in calls[-1]
    assert "severity=critical" in calls[-1]
    assert "name=A" in calls[-1]


@pytest.mark.parametrize(
    ("words", "what", "body", "out"),
    [
        (
            ("ack", KEY, "--note", "mine", "--duration", "2h"),
            "ack",
            {"note": "mine", "duration_s": 7200},
            "NexaQueueBacklog: ann has it\n",
        ),
        (("unack", KEY), "unack", None, "NexaQueueBacklog: nobody has it\n"),
        (("note", KEY, "a"), "note", {"text": "a"}, "NexaQueueBacklog: noted\n"),
        (("dismiss", KEY), "dismiss", None, "NexaQueueBacklog: dismissed\n"),
    ],
)
def test_what_a_person_does_goes_to_the_node(
    there: Port, tell: Any, words: tuple[str, ...], what: str, body: Any, out: str
) -> None:
    said = tell("alerts", *words)
    assert (said.code, said.out) == (0, out)
    line, sent = there.asked[-1]
    assert line == f"POST /v1/alerts/{KEY}/{what}"
    assert (sent or None) == body


def test_so_much_of_a_fingerprint_as_is_one_is_enough(there: Port, tell: Any) -> None:
    assert tell("alerts", "unack", KEY[:6]).code == 0
    assert there.asked[-1][0] == f"POST /v1/alerts/{KEY}/unack"

    both = tell("alerts", "unack", "8d6f")
    assert both.code == 1
    assert "2 alerts begin with 8d6f" in both.err
    assert tell("alerts", "unack", "ffff").code == 5
    assert tell("alerts", "unack", "zz").code == 2
    assert tell("alerts", "ack", KEY, "--duration", "soon").code == 2


def test_one_alert_is_shown_with_all_that_helps(tell: Any) -> None:
    said = tell("alerts", "show", KEY)
    for text in (
        "nexa_queue_depth > 10000",
        "more workers are on their way",
        "a batch import, expected",
        "nexa_queue_depth",
        "agent.lost agent/wc-3",
        "tasks: 01jd9z4n3q8w7x2y5v6t0r1s4p",
        "idle 91 %",
        "Tasks come faster than they are done.",
    ):
        assert text in said.out
    assert tell("alerts", "show", KEY, "--json").json()["alert"]["fingerprint"] == KEY


def card(alert: Alert, **over: Any) -> str:
    class Node:
        def get(self, path: str, kind: Any) -> Any:
            return change(examples.DETAIL, alert=alert, **over)

    out = io.StringIO()
    options: Any = type("Options", (), {"json": False})
    call = Call(environ={"NO_COLOR": "1"}, out=out, err=io.StringIO())
    tell_detail(Node(), KEY, options, call)  # type: ignore[arg-type]  # it only gets
    return out.getvalue()


def test_a_card_says_what_covers_an_alert_and_draws_what_it_can() -> None:
    evidence = examples.DETAIL.evidence
    assert evidence is not None
    flat = EvidenceSeries(labels={"__name__": "a"}, times=(1.0,), values=(None,))
    gaps = EvidenceSeries(
        labels={"__name__": "b", "q": "x"},
        times=tuple(float(n) for n in range(100)),
        values=(*([1.0] * 50), *([None] * 30), *([9.0] * 20)),
    )
    quiet = change(
        EVIL, silenced_by=("s-1",), inhibited_by=("f" * 16,), escalated=EVIL.since
    )
    told = card(quiet, evidence=change(evidence, series=(flat, gaps), complete=True))
    assert "\x1b" not in told
    assert "silenced by   s-1" in told
    assert "inhibited by  " in told
    assert "nobody's, escalated" in told
    assert "a{}: no values" in told
    assert 'b{q="x"} 1 to 9' in told
    assert "what came after follows" not in told
    until = change(examples.ACK, until=examples.ACK.at + timedelta(hours=1))
    assert "ann's until 2026-11-22 13:04Z" in card(change(EVIL, ack=until))


def test_history_is_told_oldest_first_and_its_filters_go_to_the_node(
    there: Port, tell: Any
) -> None:
    calls: list[str] = []
    there.before = calls.append
    said = tell("alerts", "history", KEY, "--name", "A", "--since", "12h")
    assert "firing" in said.out
    assert "older ones: nexa alerts history --cursor" in said.err
    assert f"fingerprint={KEY}" in calls[-1]
    assert "since=20" in calls[-1]
    assert tell("alerts", "history", "8d6f").code == 2
    told = tell("alerts", "history", "--json").json()["items"]
    assert told[0]["change"] == "firing"


def test_a_handover_is_its_markdown(there: Port, tell: Any) -> None:
    calls: list[str] = []
    there.before = calls.append
    assert tell("alerts", "handover").out.startswith("# Handover, 2026-11-22 12:00 UTC")
    assert "since_s=28800" in calls[-1]
    told = tell("alerts", "handover", "--since", "1h", "--json").json()
    assert told["acknowledged"][0]["fingerprint"] == KEY
    assert "since_s=3600" in calls[-1]


def test_silences_in_force_are_listed_and_those_that_are_over_only_on_demand(
    there: Port, tell: Any
) -> None:
    now = datetime.now(UTC)
    on = change(examples.SILENCE, id="on", starts=now, ends=now + timedelta(hours=1))
    later = change(on, id="later", starts=now + timedelta(minutes=30))
    there.answers["GET /v1/silences"] = Page(items=(on, later, examples.SILENCE))
    said = tell("silences")
    # The example is of another time; which side of now it is on is the calendar's.
    assert "in force" in said.out
    assert "to come" in said.out
    everything = tell("silences", "list", "--all", "--json").json()["items"]
    assert len(everything) == 3


def test_a_silence_is_made_of_conditions(there: Port, tell: Any) -> None:
    said = tell(
        "silences", "add", "alertname=NexaQueueBacklog", 'queue=~"wc|sum"',
        "--duration", "2h", "--comment", "import",
    )  # fmt: skip
    assert said.code == 0
    assert f"nexa silences expire {examples.SILENCE.id}" in said.err
    line, body = there.asked[-1]
    assert line == "POST /v1/silences"
    assert body["duration_s"] == 7200
    assert body["matchers"][1] == {"name": "queue", "kind": "=~", "value": "wc|sum"}


def test_a_dry_run_says_what_a_silence_would_hide(there: Port, tell: Any) -> None:
    words = ("silences", "add", "a=b", "--duration", "1h", "--comment", "c")
    said = tell(*words, "--dry-run")
    assert "hide 1 alerts that are on now" in said.out
    assert "3 that fired in the last 24 h" in said.out
    assert there.asked[-1][0] == "POST /v1/silences/preview"
    assert tell(*words, "--dry-run", "--json").json()["last_day"] == 3

    there.answers["POST /v1/silences/preview"] = SilencePreview(
        now=(), last_day=0, names=()
    )
    assert "are they what you mean?" in tell(*words, "--dry-run").err
    assert tell(*words, "--json").json()["id"] == examples.SILENCE.id


def test_a_silence_is_ended_by_its_id(there: Port, tell: Any) -> None:
    assert tell("silences", "expire", "s-1").out == "s-1 has ended\n"
    assert there.asked[-1][0] == "DELETE /v1/silences/s-1"
    assert tell("silences", "expire", "s-1", "--json").json()["expired"] is True
    there.answers["DELETE /v1/silences/no%2Fone"] = NotFound("no silence")
    assert tell("silences", "expire", "no/one").code == 5
    assert tell("silences", "add", "nothing", "--duration", "1h", "--comment", "c").code


def listed(there: Port, do: Any, *words: str) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call = Call(environ={"NEXA_TOKEN": "t", "NO_COLOR": "1"}, out=out, err=err)
    assert do([*words, "--attach", there.url], call) == 0
    return out.getvalue(), err.getvalue()


def test_rules_that_fail_are_listed_first(there: Port) -> None:
    (fine,) = examples.RULES.items
    bad = change(fine, name="Bad", health="err", error="why\x1b[2J", local=True)
    record = change(
        fine, name="r:x", kind="recording", health="unknown", evaluated=None
    )
    there.answers["GET /v1/rules"] = Page(items=(fine, record, bad))
    out, _ = listed(there, rules_list.list_rules)
    rows = out.splitlines()[1:]
    assert [row.split()[0] for row in rows] == ["Bad", "NexaQueueBacklog", "r:x"]
    assert "each node" in rows[0]
    assert "\x1b" not in out
    only, _ = listed(there, rules_list.list_rules, "--failing", "--json")
    assert [one["name"] for one in msgspec.json.decode(only)["items"]] == ["Bad"]
    none, err = listed(there, rules_list.list_rules, "--group", "nothing")
    assert none == ""
    assert "no rule is in force" in err


def test_a_reload_tells_what_is_in_force_and_what_is_wrong(there: Port) -> None:
    out, err = listed(there, rules_list.reload_rules)
    assert out == "60 rules in 9 groups are in force, from builtin, mine.yaml\n"
    assert "warning: mine.yaml:3: no" in err
    assert "\x1b" not in err
    told, _ = listed(there, rules_list.reload_rules, "--json")
    assert msgspec.json.decode(told)["rules"] == 60


def test_a_runbook_alone_and_that_there_is_none(there: Port, tell: Any) -> None:
    said = tell("alerts", "runbook", KEY)

    assert said.code == 0
    assert "# " in said.out
    whole = msgspec.json.decode(tell("alerts", "runbook", KEY, "--json").out)
    assert whole["text"] == examples.DETAIL.runbook

    there.answers[f"GET /v1/alerts/{KEY}"] = change(examples.DETAIL, runbook="")
    said = tell("alerts", "runbook", KEY)
    assert said.code != 0
    assert "names no runbook" in said.err


def test_a_runbook_is_read_by_its_name_when_no_node_answers(
    there: Port, tell: Any
) -> None:
    said = tell("alerts", "runbook", "NexaQuorumLost")

    assert said.code == 0
    assert said.out.startswith("# NexaQuorumLost\n")
    assert not there.asked
    whole = msgspec.json.decode(tell("alerts", "runbook", "NexaNodeDown", "--json").out)
    assert whole["name"] == "NexaNodeDown"
    none = tell("alerts", "runbook", "NexaQuorumLoss")
    assert none.code == 5
    assert "did you mean NexaQuorumLost?" in none.err
