"""The records about alerts that the API's description shows."""

from datetime import UTC, datetime, timedelta

from nexa_node.contract.alerts import (
    Ack,
    Alert,
    AlertChange,
    AlertDetail,
    Evidence,
    EvidenceLine,
    EvidenceSeries,
    Handover,
    LabelMatcher,
    NewAck,
    NewNote,
    NewSilence,
    Note,
    Rule,
    RulesLoaded,
    Silence,
    SilencePreview,
)
from nexa_node.contract.rest import Page

_NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
_LABELS = {
    "alertname": "NexaQueueBacklog",
    "severity": "warning",
    "queue": "wc",
    "instance": "alpha",
}
_EXPRESSION = "nexa_queue_depth > 10000"

ACK = Ack(
    by="ann",
    at=_NOON + timedelta(minutes=4),
    note="more workers are on their way",
    severity="warning",
)
ALERT = Alert(
    fingerprint="8d6f1c2b3a4e5f60",
    name="NexaQueueBacklog",
    state="firing",
    severity="warning",
    labels=_LABELS,
    annotations={
        "summary": "wc has 12000 tasks waiting",
        "runbook_url": "nexa://runbook/NexaQueueBacklog",
    },
    since=_NOON,
    value=12_000.0,
    fired=_NOON + timedelta(minutes=2),
    times=1,
    ack=ACK,
    notes=(
        Note(
            by="ann", at=_NOON + timedelta(minutes=5), text="a batch import, expected"
        ),
    ),
    group="nexa-messaging",
)
ALERTS = Page(items=(ALERT,))
CHANGE = AlertChange(
    id="01jd9z4n3q8w7x2y5v6t0r1s4t",
    time=_NOON + timedelta(minutes=2),
    fingerprint=ALERT.fingerprint,
    name=ALERT.name,
    severity="warning",
    change="firing",
    text="wc has 12000 tasks waiting",
    labels=_LABELS,
)
CHANGES = Page(items=(CHANGE,), next_cursor="WzQxLjAsIiJd")
DETAIL = AlertDetail(
    alert=ALERT,
    expression=_EXPRESSION,
    evidence=Evidence(
        at=_NOON + timedelta(minutes=2),
        expression=_EXPRESSION,
        series=(
            EvidenceSeries(
                labels={"__name__": "nexa_queue_depth", "queue": "wc"},
                times=(1_795_348_910.0, 1_795_348_920.0),
                values=(11_200.0, 12_000.0),
            ),
        ),
        lines=(
            EvidenceLine(
                time=_NOON + timedelta(minutes=2),
                severity="warning",
                node="alpha",
                text="agent.lost agent/wc-3: it did not answer two pings",
            ),
        ),
        tasks=("01jd9z4n3q8w7x2y5v6t0r1s4p",),
        profile=("idle 91 %",),
    ),
    history=(CHANGE,),
    runbook="# NexaQueueBacklog\n\nTasks come faster than they are done.\n",
)
NEW_ACK = NewAck(note="more workers are on their way", duration_s=7200)
NEW_NOTE = NewNote(text="a batch import, expected")
HANDOVER = Handover(
    since=_NOON,
    until=_NOON + timedelta(hours=8),
    open=(),
    acknowledged=(ALERT,),
    unseen=(),
    noisiest=(("NexaQueueBacklog", 1),),
    silences=(),
    changes=(CHANGE,),
    text="# Handover, 2026-11-22 12:00 UTC to 2026-11-22 20:00 UTC\n",
)
_MATCHERS = (LabelMatcher(name="alertname", kind="=", value="NexaQueueBacklog"),)
NEW_SILENCE = NewSilence(
    matchers=_MATCHERS, comment="the import runs until two", duration_s=7200
)
SILENCE = Silence(
    id="01jd9z4n3q8w7x2y5v6t0r1s4v",
    matchers=_MATCHERS,
    starts=_NOON,
    ends=_NOON + timedelta(hours=2),
    by="ann",
    comment="the import runs until two",
    created=_NOON,
)
SILENCES = Page(items=(SILENCE,))
PREVIEW = SilencePreview(
    now=(ALERT.fingerprint,), last_day=3, names=("NexaQueueBacklog",)
)
RULES = Page(
    items=(
        Rule(
            name="NexaQueueBacklog",
            kind="alerting",
            expression=_EXPRESSION,
            group="nexa-messaging",
            file="builtin",
            for_s=120.0,
            keep_firing_for_s=0.0,
            interval_s=10.0,
            labels={"severity": "warning"},
            annotations={"summary": "{{ $labels.queue }} has {{ $value }} waiting"},
            health="ok",
            evaluated=_NOON,
            duration_ms=0.2,
            alerts=1,
        ),
    )
)
RULES_LOADED = RulesLoaded(groups=9, rules=60, files=("builtin", "mine.yaml"))
