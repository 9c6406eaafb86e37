"""The settings, to be looked at and changed: what is written goes into `console.toml`."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from nexa_node.contract.errors import NexaError
from nexa_tui.screens.form import Answers, Blank, Form
from nexa_tui.settings import (
    REFRESH_MAX_S,
    REFRESH_MIN_S,
    ConsoleSettings,
    keep_values,
    settings_path,
)

_YES, _NO = "yes", "no"


class Office(Protocol):
    """What is asked of the application."""

    def ask(self, screen: Form, then: Callable[[Answers | None], None]) -> None:
        """Put a dialog on top and go on with its answer."""
        ...

    def tell(self, text: str, *, severity: str = "information") -> None:
        """Say something for a moment."""
        ...

    def wear(self, name: str) -> bool:
        """Put a theme on; False if it is none."""
        ...


SWITCHES = ("ascii", "mouse", "slow_link", "bell")
"""Settings that are yes or no."""


def ask_settings(
    office: Office,
    environ: Mapping[str, str],
    settings: ConsoleSettings,
    themes: Sequence[str],
) -> None:
    """Show the settings and keep what was changed."""
    form = Form(
        title="Settings",
        target=f"{settings_path(environ)}; [keys] and [columns] are changed there",
        blanks=(
            Blank("theme", "theme", settings.theme or "", hint="as the terminal is"),
            Blank("ascii", "ASCII", _word(settings.ascii), hint="as the locale says"),
            Blank("mouse", "mouse", _word(settings.mouse), hint="not over SSH"),
            Blank("refresh_s", "every", f"{settings.refresh_s:g}", hint="1"),
            Blank("bell", "bell", _word(settings.bell), hint="yes"),
            Blank("slow_link", "slow", _word(settings.slow_link), hint="no"),
        ),
        verb="Keep",
        check=partial(_fault, themes=themes),
    )
    office.ask(form, partial(_keep, office, environ, settings))


def _fault(answers: Answers, *, themes: Sequence[str]) -> str | None:
    """What is wrong with what was typed."""
    if answers["theme"] and answers["theme"] not in themes:
        return (
            f"There is no theme {answers['theme']!a}; there are: {', '.join(themes)}."
        )
    for name in SWITCHES:
        if answers[name] not in {"", _YES, _NO}:
            return f"{name} is yes, no or nothing, not {answers[name]!a}."
    try:
        every_s = float(answers["refresh_s"] or "1")
    except ValueError:
        every_s = 0.0
    if not REFRESH_MIN_S <= every_s <= REFRESH_MAX_S:
        return f"refresh lies between {REFRESH_MIN_S:g} and {REFRESH_MAX_S:g} seconds."
    return None


def read_answers(answers: Answers) -> dict[str, object]:
    """What the answers mean, by setting; None for its default."""
    wished: dict[str, object] = {
        name: None if not answers[name] else answers[name] == _YES for name in SWITCHES
    }
    wished["theme"] = answers["theme"] or None
    refresh = answers["refresh_s"]
    wished["refresh_s"] = float(refresh) if refresh else None
    return wished


def _keep(
    office: Office,
    environ: Mapping[str, str],
    before: ConsoleSettings,
    answers: Answers | None,
) -> None:
    if answers is None:
        return
    usual = ConsoleSettings()
    changed = {
        name: value
        for name, value in read_answers(answers).items()
        if (getattr(usual, name) if value is None else value) != getattr(before, name)
    }
    if not changed:
        office.tell("nothing was changed")
        return
    try:
        path = keep_values(environ, changed)
    except NexaError as error:
        office.tell(f"{error.message}; {error.remedy}", severity="error")
        return
    theme = changed.pop("theme", None)
    if isinstance(theme, str):
        office.wear(theme)
    later = f"; {', '.join(sorted(changed))} from the next start" if changed else ""
    office.tell(f"kept in {path}{later}")


def _word(value: bool | None) -> str:
    return "" if value is None else _YES if value else _NO
