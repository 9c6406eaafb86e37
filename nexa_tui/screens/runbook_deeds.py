"""A runbook's commands, done from the alert: what changes something is asked first.

An action that the console has itself does its own asking. Other commands run beside the
console as a process of their own, on the node that is watched, without a shell.
"""

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial

from nexa_node.contract.alerts import Alert, AlertDetail
from nexa_node.contract.errors import NexaError
from nexa_tui.actions import Action, find, permitted
from nexa_tui.client.trust import to_environment
from nexa_tui.screens.cluster_deeds import Confirm, Office
from nexa_tui.screens.dialogs import Pick, Reading
from nexa_tui.screens.form import Answers, Blank, Form
from nexa_tui.screens.user_deeds import run_beside, told_lines
from nexa_tui.state.effects import Effect, maintain_node
from nexa_tui.state.runbook import Step, fault, filled, steps, suggested
from nexa_tui.state.text import clean

TIMEOUT_S = 120.0
_CHANGE = Action("runbook-change", (), "change", "Do a step.", right="operate")
"""What a person must be allowed who changes something by a runbook."""
_MAINTENANCE_WORDS = 4
"""`node maintenance on NODE`."""
_MARKS = {"look": "", "change": "asks first; "}


class RunbookDeeds:
    """Carries out the steps of an alert's runbook."""

    def __init__(
        self, office: Office, confirm: Confirm, say: Callable[[str], None]
    ) -> None:
        """Work at `office`.

        Args:
            office: The application.
            confirm: Asks the person, then does it.
            say: Does what the console has an action for, in the command's words.
        """
        self._office = office
        self._confirm = confirm
        self._say = say

    def open(self, alert: Alert) -> None:
        """Offer the steps of an alert's runbook."""
        self._office.begin(partial(self._offer, alert), group="deed")

    async def _offer(self, alert: Alert) -> None:
        client = self._office.session.client
        if client is None:
            return
        try:
            detail = await client.alert(alert.fingerprint)
        except NexaError as error:
            self._office.tell(clean(error.message, 300), severity="error")
            return
        found = steps(detail.runbook)
        if not found:
            self._office.tell(_nothing(detail), severity="warning")
            return
        rows = [
            (str(place), step.text, f"{_MARKS[step.kind]}{step.section}: {step.why}")
            for place, step in enumerate(found)
        ]
        title = f"Runbook of {clean(alert.name, 50)}"
        self._office.ask(Pick(title, rows), partial(self._chosen, alert, found))

    def _chosen(self, alert: Alert, found: Sequence[Step], key: str) -> None:
        if not key:
            return
        step = found[int(key)]
        if not step.blanks:
            self._do(step, step)
            return
        form = Form(
            title="A step of the runbook",
            target=step.text,
            blanks=[
                Blank(name, name.lower(), suggested(name, step, alert))
                for name in step.blanks
            ],
            verb="Go on",
            check=fault,
        )
        self._office.ask(form, partial(self._filled, step))

    def _filled(self, step: Step, answers: Answers | None) -> None:
        if answers is not None:
            self._do(filled(step, answers), step)

    def _do(self, step: Step, written: Step) -> None:
        """Do a step; `written` is it with its blanks."""
        session = self._office.session
        if step.kind == "look":
            self._office.tell(f"{clean(step.text, 120)} ...")
            self._office.begin(partial(self._run, step), group="deed")
            return
        known = find(" ".join(step.words), session.keymap.actions)
        if known is not None and _is_the_same(written, known[0]):
            self._say(" ".join(step.words))
            return
        if not _may_change(self._office):
            told = f"{clean(step.text, 120)}: refused, you may only look here"
            self._office.tell(told, severity="warning")
            return
        effect = Effect(
            "A step of the runbook", step.text, self._effects(step), "Do it"
        )
        self._confirm(effect, partial(self._run, step))

    def _effects(self, step: Step) -> tuple[str, ...]:
        target = self._office.session.target
        where = (
            "It is done on this machine, whatever node is watched."
            if step.is_here
            else f"It is done on {clean(target.name, 60) if target else 'no node'}."
        )
        why = (clean(step.why, 200),) if step.why else ()
        return (*why, *self._of_maintenance(step), where)

    def _of_maintenance(self, step: Step) -> tuple[str, ...]:
        """What it does to the cluster, where the step takes a node out of service."""
        if step.name != "node maintenance" or len(step.words) != _MAINTENANCE_WORDS:
            return ()
        state, (way, name) = self._office.session.state, step.words[2:]
        for node in state.cluster.nodes if state.cluster else ():
            if node.name == name:
                return maintain_node(state, node, on=way == "on").lines
        return ()

    async def _run(self, step: Step) -> None:
        words = [sys.executable, "-m", "nexa_tui", *step.words]
        try:
            code, said = await run_beside(
                words, timeout_s=TIMEOUT_S, environ=self._environ(step)
            )
        except NexaError as error:
            told = f"{clean(step.text, 120)}: {clean(error.message, 200)}"
            self._office.tell(told, severity="error")
            return
        lines = told_lines([step.text], code, said)
        self._office.ask(Reading("What it said", lines), lambda _: None)

    def _environ(self, step: Step) -> dict[str, str]:
        """The operator's, and where the console is attached."""
        session = self._office.session
        target = session.target
        environ = {**os.environ, **session.options.environ, "NO_COLOR": "1"}
        if target is not None and not step.is_here:
            environ |= {"NEXA_URL": target.url, **to_environment(target.trust)}
            if target.token:
                environ["NEXA_TOKEN"] = target.token
        return environ


def _is_the_same(step: Step, action: Action) -> bool:
    """Whether an action does all that a step says: one blank, and no word besides."""
    rest = step.words[len(step.name.split()) :]
    takes = action.takes is not None and len(rest) == 1 and rest == step.blanks
    return action.words == step.name and (takes or (not rest and not action.takes))


def _may_change(office: Office) -> bool:
    session = office.session
    return permitted(_CHANGE, role=session.role, read_only=session.read_only)


def _nothing(detail: AlertDetail) -> str:
    if not detail.runbook:
        return "its rule names no runbook; runbook_url: nexa://runbook/NAME does"
    return "its runbook has no command that could be run from here"
