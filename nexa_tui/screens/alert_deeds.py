"""Minding alerts: acknowledge, write down, silence with a preview, hand over."""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from nexa_node.contract.alerts import (
    Alert,
    LabelMatcher,
    NewAck,
    NewNote,
    NewSilence,
    SilencePreview,
)
from nexa_node.contract.errors import Invalid, NexaError
from nexa_node.contract.matchers import parse_matchers, written
from nexa_tui.screens.cluster_deeds import Confirm, Office
from nexa_tui.screens.form import Answers, Blank, Form
from nexa_tui.state.alerts import subject
from nexa_tui.state.effects import Effect
from nexa_tui.state.spans import seconds_of
from nexa_tui.state.text import clean

_COMMENT_MAX = 500
_SHIFT_S = 8 * 3600
_PAGE = 10
_TELLING = frozenset(("alertname", "instance", "node"))
"""Labels by which a silence is offered: this alert, and this place."""


class AlertDeeds:
    """Carries out what becomes of alerts."""

    def __init__(self, office: Office, confirm: Confirm) -> None:
        """Work at `office`; `confirm` asks the person and then does it."""
        self._office = office
        self._confirm = confirm

    def acknowledge(self, alert: Alert) -> None:
        """Have the person mind it."""
        form = Form(
            title="Acknowledge an alert",
            target=_named(alert),
            blanks=(
                Blank("note", "note", hint="what you do about it", most=_COMMENT_MAX),
                Blank("span", "for", hint="until it is over, or worse; or 30m, 4h"),
            ),
            verb="Acknowledge",
            check=partial(_span_fault, needed=False),
        )
        self._office.ask(form, partial(self._acknowledged, alert))

    def unacknowledge(self, alert: Alert) -> None:
        """Have the person mind it no longer."""
        self._begin(lambda client: client.unacknowledge(alert.fingerprint), "is open")

    def note(self, alert: Alert) -> None:
        """Have the person write something down."""
        form = Form(
            title="Write something down",
            target=_named(alert),
            blanks=(Blank("text", "note", most=_COMMENT_MAX),),
            verb="Keep it",
            check=lambda answers: None if answers["text"] else "Say something.",
        )
        self._office.ask(form, partial(self._noted, alert))

    def dismiss(self, alert: Alert) -> None:
        """Take what is over off the board."""
        self._begin(lambda client: client.dismiss(alert.fingerprint), "is dismissed")

    def silence(self, alert: Alert) -> None:
        """Ask for a silence; what it would hide is shown before it begins."""
        form = Form(
            title="Silence alerts",
            target=_named(alert),
            blanks=(
                Blank("matchers", "matching", _matchers_of(alert), most=1000),
                Blank("span", "for", "2h"),
                Blank("comment", "because", hint="for those who wonder later"),
            ),
            verb="Preview",
            check=_silence_fault,
        )
        self._office.ask(form, self._previewed)

    def expire(self, silence_id: str) -> None:
        """End a silence, after the person has said so."""
        effect = Effect(
            "End a silence",
            clean(silence_id, 60),
            ("What it hides is told again, at once if it is on.",),
            "End it",
            keep="Leave it",
        )
        self._confirm(effect, partial(self._call_expire, silence_id))

    def hand_over(self, span: str = "") -> None:
        """Show what this shift tells the next; `span` is how long it was."""
        try:
            since_s = round(seconds_of(span)) if span else _SHIFT_S
        except ValueError as error:
            self._office.tell(str(error), severity="warning")
        else:
            self._office.begin(partial(self._handover, since_s), group="deed")

    def _acknowledged(self, alert: Alert, answers: Answers | None) -> None:
        if answers is None:
            return
        span = answers["span"]
        ack = NewAck(
            note=answers["note"], duration_s=round(seconds_of(span)) if span else None
        )
        told = "is yours"
        self._begin(lambda client: client.acknowledge(alert.fingerprint, ack), told)

    def _noted(self, alert: Alert, answers: Answers | None) -> None:
        if answers is not None:
            note = NewNote(text=answers["text"])
            self._begin(
                lambda client: client.note(alert.fingerprint, note), "has a note"
            )

    def _previewed(self, answers: Answers | None) -> None:
        if answers is not None:
            wanted = NewSilence(
                matchers=_parsed(answers["matchers"]),
                comment=answers["comment"],
                duration_s=round(seconds_of(answers["span"])),
            )
            self._office.begin(
                partial(self._preview, wanted, answers["matchers"]), group="deed"
            )

    async def _preview(self, wanted: NewSilence, words: str) -> None:
        client = self._office.session.client
        if client is None:
            return
        try:
            found = await client.preview(wanted)
        except NexaError as error:
            self._refused(error)
            return
        effect = Effect(
            "Silence alerts", clean(words, 200), preview_lines(found), "Silence them"
        )
        self._confirm(effect, partial(self._call_silence, wanted))

    async def _call_silence(self, wanted: NewSilence) -> None:
        client = self._office.session.client
        if client is not None:
            made = await client.silence(wanted)
            self._office.tell(
                f"silenced; to end it: nexa silences expire {clean(made.id, 40)}"
            )

    async def _call_expire(self, silence_id: str) -> None:
        client = self._office.session.client
        if client is not None:
            await client.expire(silence_id)
            self._office.tell("the silence is over")

    async def _handover(self, since_s: int) -> None:
        from nexa_tui.screens.dialogs import Document
        from nexa_tui.state.detail import Line, Words
        from nexa_tui.state.text import clean_lines

        client = self._office.session.client
        if client is None:
            return
        try:
            report = await client.handover(since_s)
        except NexaError as error:
            self._refused(error)
            return
        lines: list[Line] = [
            Words(line.lstrip("# "), "strong" if line.startswith("#") else "text")
            for line in clean_lines(report.text, 500, 500)
        ]
        title = f"Handover of the last {_span_words(since_s)}"
        document = Document(title, lines, text=report.text, keep=self._keep_handover)
        self._office.ask(document, lambda _: None)

    def _keep_handover(self, text: str) -> None:
        from nexa_tui.client.exports import write_export

        session = self._office.session
        try:
            path = write_export(
                session.options.environ,
                "nexa-handover",
                "md",
                text,
                now=session.clock.utc(),
            )
        except NexaError as error:
            self._refused(error)
        else:
            self._office.tell(f"written to {path}; as a command: nexa alerts handover")

    def _begin(
        self, call: Callable[[Any], Coroutine[Any, Any, Alert]], told: str
    ) -> None:
        async def work() -> None:
            client = self._office.session.client
            if client is None:
                return
            try:
                alert = await call(client)
            except NexaError as error:
                self._refused(error)
            else:
                self._office.tell(f"{clean(alert.name, 60)} {told}")

        self._office.begin(work, group="deed")

    def _refused(self, error: NexaError) -> None:
        told = clean(error.message, 300)
        if error.remedy:
            told += f"; {clean(error.remedy, 200)}"
        self._office.tell(told, severity="error")


def preview_lines(found: SilencePreview) -> tuple[str, ...]:
    """What a silence would do, in sentences."""
    now, day = len(found.now), found.last_day
    names = ", ".join(clean(name, 60) for name in found.names[:_PAGE])
    return (
        f"{now} that {'is' if now == 1 else 'are'} on now would be hidden.",
        f"In the last 24 hours it would have hidden {day}.",
        f"They are: {names}." if names else "No alert of these 24 hours fits it.",
    )


def _span_words(seconds: int) -> str:
    hours, minutes = divmod(seconds // 60, 60)
    told = [f"{hours} hours"] if hours else []
    return " ".join([*told, f"{minutes} minutes"] if minutes or not hours else told)


def _named(alert: Alert) -> str:
    return f"{alert.name} {subject(alert.labels)}".strip()


def _matchers_of(alert: Alert) -> str:
    return " ".join(
        written(LabelMatcher(name=key, kind="=", value=value))
        for key, value in alert.labels.items()
        if key in _TELLING
    )


def _parsed(words: str) -> tuple[LabelMatcher, ...]:
    """Conditions, as a silence needs them: at least one.

    Raises:
        Invalid: One is none, or there is none at all.
    """
    found = parse_matchers(words)
    if not found:
        raise Invalid("say at least one condition", remedy="alertname=NodeDown")
    return found


def _span_fault(answers: Answers, *, needed: bool) -> str | None:
    span = answers["span"]
    if not span and not needed:
        return None
    try:
        seconds_of(span)
    except ValueError as error:
        return str(error)
    return None


def _silence_fault(answers: Answers) -> str | None:
    try:
        _parsed(answers["matchers"])
    except Invalid as error:
        return f"{error.message}: {error.remedy}"
    if not answers["comment"]:
        return "Say why: somebody will wonder."
    return _span_fault(answers, needed=True)
