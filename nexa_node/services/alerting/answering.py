"""What is asked about alerts, answered: lists, one in full, history, handover, silences."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from nexa_node.contract.alerts import (
    Alert,
    AlertChange,
    AlertDetail,
    Handover,
    NewSilence,
    Silence,
    SilencePreview,
    urgency,
)
from nexa_node.contract.errors import Invalid, NexaError
from nexa_node.contract.rest import Page
from nexa_node.core.alerting.handover import handover
from nexa_node.core.cursors import decode_cursor, encode_cursor, page_size
from nexa_node.ports import Clock
from nexa_node.services.alert_api import AlertFilter, ChangeFilter
from nexa_node.services.alerting.board import Board
from nexa_node.services.alerting.evidence import Evidences
from nexa_node.services.alerting.history import History
from nexa_node.services.alerting.listing import RuleList
from nexa_node.services.alerting.people import People
from nexa_node.services.alerting.silencing import Silences

DETAIL_CHANGES = 50
HANDOVER_CHANGES, DAY_CHANGES = 1000, 5000
SHIFT_MAX_S = 30 * 86_400
RUNBOOK = "nexa://runbook/"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AlertDesk:
    """Answers, on any node."""

    board: Board
    people: People
    silences: Silences
    history: History
    evidences: Evidences
    rules: RuleList
    runbook: Callable[[str], str]
    """The text of a runbook by its name; empty if there is none."""
    clock: Clock

    def page(self, query: AlertFilter) -> Page[Alert]:
        """List alerts, in the order of triage.

        Raises:
            Invalid: The cursor is none of ours, or `match` no condition on labels.
        """
        after = decode_cursor(query.cursor)
        start = "" if after is None else after[1]
        fits = _fitting(query.match)
        found = [
            alert
            for alert in sorted(self.board.alerts(), key=_place)
            if query.state in (None, alert.state)
            and query.severity in (None, alert.severity)
            and query.name in (None, alert.name)
            and fits(alert)
            and _place(alert) > start
        ]
        limit = page_size(query.limit)
        told = tuple(found[:limit])
        more = len(found) > limit
        cursor = encode_cursor((0.0, _place(told[-1]))) if more else None
        return Page(items=told, next_cursor=cursor)

    async def detail(self, fingerprint: str) -> AlertDetail:
        """One alert in full; what can't be read now is left out.

        Raises:
            NotFound: It is not on the board.
        """
        alert = self.board.alert(fingerprint)
        record = self.board.record(fingerprint)
        changes = self.history.unsaved(fingerprint)
        try:
            stored, _ = await self.history.read(
                fingerprint=fingerprint,
                name=None,
                since=None,
                before=None,
                limit=DETAIL_CHANGES,
            )
        except NexaError:
            stored = []
        known = {one.id for one in changes}
        changes += [one for one in stored if one.id not in known]
        return AlertDetail(
            alert=alert,
            expression="" if record is None else record.expression,
            evidence=await self.evidences.of(fingerprint),
            history=tuple(changes[:DETAIL_CHANGES]),
            runbook=self.runbook(_runbook_of(alert)),
        )

    async def changes(self, query: ChangeFilter) -> Page[AlertChange]:
        """A page of the history, the newest first.

        Raises:
            Invalid: The cursor is none of ours.
            Unavailable: The store does not answer.
        """
        after = decode_cursor(query.cursor)
        found, more = await self.history.read(
            fingerprint=query.fingerprint,
            name=query.name,
            since=query.since,
            before=None if after is None else int(after[0]),
            limit=page_size(query.limit),
        )
        cursor = None if more is None else encode_cursor((float(more), ""))
        return Page(items=tuple(found), next_cursor=cursor)

    async def handover(self, *, since_s: int) -> Handover:
        """What one shift tells the next; without the store, without its history.

        Raises:
            Invalid: No such shift.
        """
        if not 0 < since_s <= SHIFT_MAX_S:
            raise Invalid(
                "a shift lasts more than no time and at most 30 days",
                details={"field": "since_s"},
            )
        now = self.clock.now()
        since = now - timedelta(seconds=since_s)
        changes = await self._since(since.timestamp(), HANDOVER_CHANGES)
        return handover(
            self.board.alerts(), changes, self.silences.all(), since=since, now=now
        )

    async def preview(self, wanted: NewSilence) -> SilencePreview:
        """Say what a silence would hide, and would have hidden in the last 24 h.

        Raises:
            Invalid: It could not be made.
        """
        from nexa_node.core.alerting.silences import check_silence, preview

        now = self.clock.now()
        check_silence(wanted, now=now)
        board = self.board.alerts()
        changes = await self._since((now - timedelta(days=1)).timestamp(), DAY_CHANGES)
        return preview(wanted, board, self._fired(board, changes), now=now)

    def all_silences(self) -> Page[Silence]:
        """All of them."""
        return Page(items=tuple(self.silences.all()))

    def _fired(self, board: list[Alert], changes: list[AlertChange]) -> list[Alert]:
        """The alerts that fired, each time one of them; labels as the log has them."""
        known = {alert.fingerprint: alert for alert in board}
        found: list[Alert] = []
        for change in changes:
            if change.change != "firing":
                continue
            there = known.get(change.fingerprint)
            labels = change.labels or ({} if there is None else there.labels)
            found.append(
                Alert(
                    fingerprint=change.fingerprint,
                    name=change.name,
                    state="resolved",
                    severity=change.severity,
                    labels={**labels, "alertname": change.name},
                    annotations={},
                    since=change.time,
                    fired=change.time,
                )
            )
        return found

    async def _since(self, since: float, most: int) -> list[AlertChange]:
        unsaved = [
            one for one in self.history.unsaved() if one.time.timestamp() >= since
        ]
        try:
            stored, _ = await self.history.read(
                fingerprint=None, name=None, since=since, before=None, limit=most
            )
        except NexaError:
            return unsaved
        known = {one.id for one in unsaved}
        return [*unsaved, *(one for one in stored if one.id not in known)]


def _fitting(match: str | None) -> Callable[[Alert], bool]:
    """Whether an alert meets conditions; regular expressions are RE2, which never run away."""
    if not match:
        return lambda _: True
    from nexa_node.contract.matchers import parse_matchers
    from nexa_node.core.alerting.silences import compiled, silences

    conditions = compiled(parse_matchers(match))
    return lambda alert: silences(conditions, alert.labels)


def _place(alert: Alert) -> str:
    """An alert's place in the order of triage, as text that sorts so."""
    rank, severity, escalated, since = urgency(alert)
    at_ms = int(since.timestamp() * 1000)
    return f"{rank}{severity}{escalated}{at_ms:015}{alert.fingerprint}"


def _runbook_of(alert: Alert) -> str:
    """The name of an alert's runbook: what its rule says, else its own name."""
    url = alert.annotations.get("runbook_url", "")
    return url.removeprefix(RUNBOOK) if url.startswith(RUNBOOK) else alert.name
