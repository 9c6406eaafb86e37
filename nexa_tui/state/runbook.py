"""The commands of a runbook as steps to be done from the console.

A runbook comes from a node, so it is believed in nothing: only commands that stand in
`LOOKS` or `CHANGES` become steps, by their first words, and none that would turn to
another cluster or take the terminal. Nothing in it reaches a shell.
"""

import re
import shlex
from collections.abc import Mapping
from typing import Literal

import msgspec

from nexa_node.contract.alerts import Alert

Kind = Literal["look", "change"]
"""Reads only; or changes something, and is asked first."""

LOOKS: frozenset[str] = frozenset(
    (
        "agents list", "agents show", "alerts handover", "alerts history", "alerts list",
        "alerts show", "audit list", "audit verify", "cert list", "cluster conflicts",
        "cluster status", "config show", "config validate", "dead-letters list", "doctor",
        "events", "logs", "metrics", "node status", "notifications list", "queues",
        "role list", "rules check", "rules list", "selftest", "silences list",
        "task explain", "task list", "task show", "token list", "top", "version",
    )
)  # fmt: skip
CHANGES: frozenset[str] = frozenset(
    (
        "agents disconnect", "agents drain", "agents resume", "cluster join-token",
        "cluster remove", "cluster replicas", "cluster rotate", "dead-letters purge",
        "dead-letters redrive", "node drain", "node maintenance", "node restart",
        "node start", "node stop", "notifications test", "rules reload", "silences add",
        "task cancel", "token revoke", "token rotate",
    )
)  # fmt: skip
HERE: frozenset[str] = frozenset(
    ("config", "doctor", "node restart", "node start", "node stop", "node status")
)
"""What speaks of this machine, wherever the console is attached."""
_ELSEWHERE = frozenset(("--attach", "--node", "--context", "--follow"))
"""Options a runbook may not choose: where to turn, and what never ends."""
_BLANK = re.compile(r"[A-Z][A-Z_]{1,20}")
_SPAN = re.compile(r"`(nexa [^`]{1,400})`")
_STEPS_MAX, _LINE_MAX = 40, 500
_LABELS: Mapping[str, tuple[str, ...]] = {
    "NODE": ("node", "instance"),
    "TYPE": ("type", "task_type", "agent_type", "queue"),
    "AGENT": ("agent", "agent_id"),
    "TASK": ("task", "task_id"),
    "TOKEN": ("token", "token_id"),
    "QUEUE": ("queue",),
}
"""By which labels of an alert a blank is filled in."""
_IDS: Mapping[str, str] = {"agents": "AGENT", "task": "TASK", "token": "TOKEN"}
"""Of what the blank `ID` is the id, by the noun of its command."""


class Step(msgspec.Struct, frozen=True):
    """One command of a runbook."""

    words: tuple[str, ...]
    """Without `nexa`; blanks are words in capitals."""
    section: str
    """Under which heading: `Check`, `Mend`."""
    why: str
    """The sentence before it; empty if there is none."""
    kind: Kind

    @property
    def name(self) -> str:
        """The noun and the verb, as the registry of actions has them."""
        return _name(self.words) or ""

    @property
    def text(self) -> str:
        """As it is typed."""
        return "nexa " + " ".join(
            word if _BLANK.fullmatch(word) else shlex.quote(word) for word in self.words
        )

    @property
    def blanks(self) -> tuple[str, ...]:
        """The words that are to be filled in, each once."""
        return tuple(dict.fromkeys(w for w in self.words if _BLANK.fullmatch(w)))

    @property
    def is_here(self) -> bool:
        """Whether it is about this machine."""
        return self.name in HERE or self.words[0] in HERE or "--startup" in self.words


def steps(runbook: str) -> tuple[Step, ...]:
    """The commands of a runbook, in its order, each once; no others become steps."""
    found: dict[tuple[str, ...], Step] = {}
    section, sentence = "", ""
    for line in runbook.splitlines()[:_LINE_MAX]:
        if line.startswith("#"):
            section, sentence = line.lstrip("# ").strip(), ""
        elif line.startswith(("    nexa ", "\tnexa ")):
            _add(found, line.strip()[:_LINE_MAX], section, sentence)
        else:
            text = line.strip()
            for command in _SPAN.findall(text):
                _add(found, command, section, text)
            sentence = text or sentence
    return tuple(found.values())[:_STEPS_MAX]


def suggested(blank: str, step: Step, alert: Alert) -> str:
    """What an alert says a blank is; empty if it doesn't."""
    noun = _IDS.get(step.words[0], "") if blank == "ID" else blank
    for label in _LABELS.get(noun, ()):
        if alert.labels.get(label):
            return alert.labels[label]
    return ""


def fault(values: Mapping[str, str]) -> str | None:
    """What is wrong with the values of blanks; None if nothing is."""
    for blank, value in values.items():
        if not value:
            return f"Say which {blank}."
        if value.startswith("-") or not value.isprintable():
            return f"{blank} may not begin with a dash."
    return None


def filled(step: Step, values: Mapping[str, str]) -> Step:
    """A step with its blanks filled in; `fault` found nothing wrong with them."""
    words = tuple(values.get(word, word) for word in step.words)
    return msgspec.structs.replace(step, words=words)


def _add(
    found: dict[tuple[str, ...], Step], command: str, section: str, why: str
) -> None:
    try:
        words = tuple(shlex.split(command))[1:]
    except ValueError:
        return
    words = _of_a_node(words)
    kind = _kind(words)
    if kind is not None and words not in found:
        found[words] = Step(words, section, why, kind)


def _of_a_node(words: tuple[str, ...]) -> tuple[str, ...]:
    """Have a command say which node it is about: here that is seldom the one attached."""
    bare = {"drain": 2, "maintenance": 3}.get(words[1] if len(words) > 1 else "")
    return (*words, "NODE") if words[:1] == ("node",) and len(words) == bare else words


def _kind(words: tuple[str, ...]) -> Kind | None:
    name = _name(words)
    refused = any(word.partition("=")[0] in _ELSEWHERE for word in words)
    if name is None or refused or not all(word.isprintable() for word in words):
        return None
    return "look" if name in LOOKS or "--dry-run" in words else "change"


def _name(words: tuple[str, ...]) -> str | None:
    for count in (2, 1):
        name = " ".join(words[:count])
        if len(words) >= count and (name in LOOKS or name in CHANGES):
            return name
    # A noun alone: its first verb is `list`, as `choose_verb` of the commands has it.
    alone = f"{words[0]} list" if words else ""
    return alone if len(words) == 1 and alone in LOOKS else None
