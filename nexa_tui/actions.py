"""Everything a person can do, once: bindings, key bar, help and palette all read this.

An action's words are those of the command line, so that what is learned in one place
holds in the other. A shifted letter destroys something, asks first, and is refused to
those who may only look.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

Place = Literal[
    "everywhere", "splash", "overview", "list", "nodes", "agents", "tasks", "alerts",
    "alert-history",
    "silences", "rules", "metrics", "events", "audit", "tokens", "roles", "namespaces", "clusters", "detail", "no-node",
    "messages", "topics", "inboxes", "dead-letters", "logs",
]  # fmt: skip
Right = Literal["watch", "operate", "administer"]
_RIGHTS: Mapping[str, frozenset[Right]] = {
    "viewer": frozenset(("watch",)),
    "auditor": frozenset(("watch",)),
    "operator": frozenset(("watch", "operate")),
    "admin": frozenset(("watch", "operate", "administer")),
}

FORBIDDEN_KEYS = frozenset(
    (
        "ctrl+a", "ctrl+b", "ctrl+s", "ctrl+space", "ctrl+at", "ctrl+z",
        "ctrl+backslash", "ctrl+h", "ctrl+i", "ctrl+j", "ctrl+m", "f11",
    )
)  # fmt: skip
"""Multiplexers and terminals need these for themselves."""


class Action(msgspec.Struct, frozen=True):
    """One thing to do."""

    id: str
    """Stable: what `console.toml` names under `[keys]`."""
    keys: tuple[str, ...]
    """Textual's names, the one that is shown first."""
    label: str
    """One or two words, for the key bar."""
    help: str
    """One sentence, for the help."""
    where: tuple[Place, ...] = ("everywhere",)
    words: str | None = None
    """In the palette; None if it makes no sense there."""
    takes: str | None = None
    """What may follow the words: `TASK`, `THEME`."""
    right: Right = "watch"
    dangerous: bool = False
    rank: int = 0
    """Place in the key bar, 1 first; 0 is not shown there."""

    def shown(self) -> str:
        """The first key, as a person reads it."""
        return key_name(self.keys[0]) if self.keys else ""


def _view(number: int, name: str, words: str, help_: str) -> Action:
    return Action(f"view-{name}", (str(number),), name.capitalize(), help_, words=words)


ACTIONS: tuple[Action, ...] = (
    # Splash.
    Action("go-on", ("space",), "go on", "Open the dashboard; any other key does, too.",
           ("splash",), rank=1),
    Action("open-check", ("enter",), "open", "Show a check's cause and what mends it.",
           ("splash",), rank=2),
    Action("run-check", ("r",), "again", "Run this check again.",
           ("splash",), rank=3),
    Action("run-checks", ("R",), "all", "Run all checks again.",
           ("splash",), words="selftest", rank=4),
    Action("start-node", ("s",), "start", "Start a node on this machine.",
           ("splash", "no-node"), words="node start", right="operate", rank=5),
    Action("attach", ("a",), "attach", "Choose a node: found ones, contexts, or a URL.",
           ("splash", "no-node"), words="attach", takes="URL", rank=5),
    Action("demo", ("d",), "demo", "Leave the console and run `nexa demo`.",
           ("splash", "no-node"), words="demo", right="operate", rank=5),
    # Views.
    _view(1, "overview", "overview", "The verdict, its reasons, and what goes on."),
    _view(2, "nodes", "nodes", "The cluster's nodes."),
    _view(3, "agents", "agents list", "Agents: state, slots, what they can do."),
    _view(4, "tasks", "task list", "Tasks: newest first; what they wait for."),
    _view(5, "messages", "messages", "Messages of topics, as they come; dead letters."),
    _view(6, "alerts", "alerts list", "Alerts."),
    _view(7, "metrics", "metrics", "Metrics."),
    _view(8, "logs", "logs", "What all nodes log, as it comes; events."),
    Action("view-events", (), "Events", "What happened, newest first.", words="events"),
    Action("view-dead-letters", (), "Dead letters", "Tasks that used up their attempts.",
           words="dead-letters list"),
    Action("view-clusters", ("0",), "Clusters",
           "All clusters that are known here: which one needs somebody.",
           words="context list"),
    Action("cluster-use", ("enter", "d"), "turn to", "Turn to the cluster of the row.",
           ("clusters",), words="context use", takes="NAME", rank=1),
    _view(9, "audit", "audit list", "Audit and access."),
    Action("back", ("minus",), "back", "The view before this one.", words="back"),
    Action("next-panel", ("tab",), "next panel", "Focus the next panel.",
           ("overview", "nodes", "metrics"), rank=2),
    Action("previous-panel", ("shift+tab",), "previous panel",
           "Focus the panel before.", ("overview", "nodes", "metrics")),
    # Lists.
    Action("open", ("enter", "d"), "open", "Details of the row.",
           ("overview", "list", "nodes", "agents", "tasks", "alerts", "logs", "events"), rank=1),
    Action("filter", ("slash",), "filter",
           "Filter while you type: words, state:busy, re:^wc, ! inverts.",
           ("list", "nodes", "agents", "tasks", "alerts", "logs", "events"), words="filter",
           takes="WORDS", rank=2),
    Action("sort", ("s",), "sort", "Sort by the next column.",
           ("list", "nodes", "agents", "tasks", "alerts", "events"), words="sort", rank=4),
    Action("reverse", ("S",), "reverse", "Turn the order round.",
           ("list", "nodes", "agents", "tasks", "alerts", "events")),
    Action("problems", ("exclamation_mark",), "problems", "Only what is wrong.",
           ("list", "nodes", "agents", "tasks", "alerts", "logs", "events"), words="problems", rank=3),
    Action("down", ("j", "down"), "down", "Down.", ("list", "logs", "overview", "detail")),
    Action("up", ("k", "up"), "up", "Up.", ("list", "logs", "overview", "detail")),
    Action("top", ("g", "home"), "top", "To the first row.",
           ("list", "logs", "overview", "detail")),
    Action("bottom", ("G", "end"), "bottom", "To the last row.",
           ("list", "logs", "overview", "detail")),
    Action("half-down", ("ctrl+d", "pagedown"), "page down", "Half a page down.",
           ("list", "logs", "overview", "detail")),
    Action("half-up", ("ctrl+u", "pageup"), "page up", "Half a page up.",
           ("list", "logs", "overview", "detail")),
    Action("copy", ("y",), "copy", "Copy the row's address (OSC 52), and keep it in a file.",
           ("list", "nodes", "agents", "tasks", "alerts", "logs", "events", "overview", "detail"),
           words="copy"),
    Action("maximise", ("z",), "maximise", "This panel alone; again for all of them.",
           ("overview", "nodes", "metrics"), rank=4),
    Action("pause", ("p",), "pause", "Hold the picture still; data is still collected.",
           ("overview", "list", "nodes", "agents", "tasks", "alerts", "logs", "events", "detail"),
           words="pause", rank=9),
    Action("rewind", ("comma",), "back in time",
           "Hold the picture of 10 s before; p goes on. With a span, of so long before.",
           ("overview", "list", "nodes", "agents", "tasks", "alerts", "events", "detail",
            "metrics"), words="rewind", takes="SPAN"),
    Action("forward", ("full_stop",), "forward", "Hold the picture of 10 s after.",
           ("overview", "list", "nodes", "agents", "tasks", "alerts", "events", "detail",
            "metrics"), words="forward", takes="SPAN"),
    Action("rewind-far", ("less_than_sign",), "back a minute",
           "Hold the picture of a minute before.",
           ("overview", "list", "nodes", "agents", "tasks", "alerts", "events", "detail",
            "metrics")),
    Action("forward-far", ("greater_than_sign",), "forward a minute",
           "Hold the picture of a minute after.",
           ("overview", "list", "nodes", "agents", "tasks", "alerts", "events", "detail",
            "metrics")),
    # What changes something.
    Action("task-cancel", ("X",), "cancel", "Cancel the task.", ("tasks", "detail"),
           words="task cancel", takes="TASK", right="operate", dangerous=True, rank=5),
    Action("agent-disconnect", ("D",), "disconnect", "Disconnect the agent.",
           ("agents", "detail"), words="agents disconnect", takes="AGENT",
           right="operate", dangerous=True, rank=5),
    Action("agent-drain", ("M",), "drain",
           "Drain the agent: no new tasks, what it has is finished; again: tasks again.",
           ("agents", "detail"), words="agents drain", takes="AGENT",
           right="operate", dangerous=True, rank=6),
    Action("node-drain", ("D",), "drain", "Drain the node: no new work, then it ends.",
           ("nodes", "detail"), words="node drain", takes="NODE", right="operate",
           dangerous=True, rank=5),
    Action("node-maintenance", ("M",), "maintain",
           "Maintenance: the node takes nothing new; again: it takes work once more.",
           ("nodes", "detail"), words="node maintenance", takes="NODE",
           right="operate", dangerous=True, rank=6),
    Action("node-remove", ("X",), "strike off",
           "Strike a dead node off the cluster; its copies are made anew elsewhere.",
           ("nodes", "detail"), words="cluster remove", takes="NODE",
           right="administer", dangerous=True),
    Action("join-token", ("J",), "add a node",
           "Issue a token by which one node may join, and show the command for it.",
           ("nodes",), words="cluster join-token", right="administer", rank=7),
    # Alerts.
    Action("alert-ack", ("a",), "acknowledge",
           "Mind the alert: it is yours until it is over, gets worse, or the time is up.",
           ("alerts", "detail"), words="alerts ack", takes="ALERT", right="operate",
           rank=5),
    Action("alert-unack", ("A",), "give back", "Mind the alert no longer.",
           ("alerts", "detail"), words="alerts unack", takes="ALERT", right="operate"),
    Action("alert-note", ("n",), "note", "Write something down about the alert.",
           ("alerts", "detail"), words="alerts note", takes="ALERT", right="operate",
           rank=8),
    Action("alert-silence", ("m",), "silence",
           "Silence alerts like this one; what that would hide is shown first.",
           ("alerts", "detail"), words="silences add", takes="ALERT", right="operate",
           rank=6),
    Action("alert-dismiss", ("x",), "dismiss",
           "Take an alert that is over, and was seen by nobody, off the board.",
           ("alerts", "detail"), words="alerts dismiss", takes="ALERT",
           right="operate", rank=8),
    Action("alert-runbook", ("r",), "runbook",
           "The commands of the alert's runbook, to be done from here.",
           ("alerts", "detail"), words="alerts runbook", takes="ALERT", rank=4),
    Action("silence-expire", ("X",), "end it", "End the silence: its alerts are told again.",
           ("silences",), words="silences expire", takes="SILENCE", right="operate",
           dangerous=True, rank=5),
    Action("tab-next", ("right_square_bracket",), "more lists",
           "The next list of this view: silences, history, rules; topics, inboxes,"
           " dead letters; events.",
           ("alerts", "silences", "alert-history", "rules", "messages", "dead-letters",
            "logs", "events", "audit", "tokens", "roles", "namespaces"), rank=7),
    Action("tab-previous", ("left_square_bracket",), "previous list",
           "The list before.", ("alerts", "silences", "alert-history", "rules",
            "messages", "dead-letters", "logs", "events", "audit", "tokens", "roles",
            "namespaces")),
    Action("handover", ("h",), "handover", "What this shift tells the next.",
           ("alerts",), words="alerts handover", takes="SPAN", rank=9),
    # Access.
    Action("view-tokens", (), "Tokens", "Tokens: who has one, used when, until when.",
           words="token list"),
    Action("view-roles", (), "Roles", "Roles and what they may do.", words="role list"),
    Action("view-namespaces", (), "Namespaces",
           "Namespaces: what each may use, and what is left of its budget.",
           words="namespace list"),
    Action("audit-verify", ("v",), "verify", "Verify every node's audit.", ("audit",),
           words="audit verify", rank=5),
    Action("token-create", ("n",), "new token", "Make a token, and show it once.",
           ("tokens",), words="token create", right="administer", rank=5),
    Action("token-rotate", ("r",), "rotate",
           "Give the token a new secret; the one before works for ten minutes yet.",
           ("tokens",), words="token rotate", takes="TOKEN", right="administer", rank=6),
    Action("token-revoke", ("X",), "revoke", "End the token, and what is connected by it.",
           ("tokens",), words="token revoke", takes="TOKEN", right="administer",
           dangerous=True, rank=6),
    # Messages and logs.
    Action("topic", ("f",), "topics", "Follow other topics: * stands for one token, a"
           " final > for the rest.", ("messages",), words="tail", takes="TOPIC", rank=5),
    Action("send", ("n",), "send", "Send a message.", ("messages", "topics", "inboxes", "agents"),
           words="send", takes="TO", right="operate", rank=6),
    Action("redrive", ("r",), "redrive", "Bring the dead letter back into its queue.",
           ("dead-letters",), words="dead-letters redrive", takes="TASK",
           right="operate", rank=5),
    Action("purge", ("X",), "purge", "Forget the dead letter for good.",
           ("dead-letters",), words="dead-letters purge", takes="TASK",
           right="operate", dangerous=True, rank=6),
    Action("follow", ("f",), "follow", "Go along with what is new.", ("logs",), rank=5),
    Action("seek", ("at",), "to a time", "Go to a time: 14:03, 5m (ago), a date.",
           ("logs",), words="logs at", takes="TIME", rank=6),
    Action("export", ("e",), "export",
           "Write all rows that are shown to a file: CSV, or JSON if said.",
           ("list", "logs"), words="export", takes="csv|json", rank=10),
    Action("columns", ("c",), "columns", "Choose the columns; they are remembered.",
           ("list",), words="columns", takes="NAMES", rank=11),
    # Metrics.
    Action("query", ("slash", "e"), "ask", "Ask a question of your own, in PromQL.",
           ("metrics",), words="metrics query", takes="QUERY", rank=1),
    Action("zoom-out", ("plus",), "longer", "Look further back.", ("metrics",), rank=3),
    Action("zoom-in", ("minus",), "shorter", "Look at less time.", ("metrics",), rank=3),
    Action("hair-left", ("left",), "cross-hair", "The cross-hair to the left.",
           ("metrics",), rank=5),
    Action("hair-right", ("right",), "right", "The cross-hair to the right.",
           ("metrics",)),
    # Everywhere.
    Action("settings", ("f2",), "settings",
           "Look at the settings and change them; what is kept goes into console.toml.",
           words="settings"),
    Action("away", ("w",), "while away",
           "What changed since you were here last, or pressed a key.", words="away"),
    Action("link", ("b",), "bytes",
           "Show how many bytes a second go to this terminal; again: no longer.",
           words="link"),
    Action("redraw", ("ctrl+l",), "redraw", "Write the whole screen anew.",
           words="redraw"),
    Action("palette", ("colon", "ctrl+p"), "command",
           "Commands, in the words of the command line.", rank=7),
    Action("help", ("question_mark", "f1"), "help", "What the keys do here.",
           words="help", rank=6),
    Action("theme", ("t",), "theme", "Choose a theme, seen at once.", words="theme",
           takes="NAME"),
    Action("reconnect", ("ctrl+r", "f5"), "reconnect",
           "Open the feed again now, without waiting.", words="reconnect"),
    Action("splash", (), "self-test", "Back to the self-test.", words="selftest show"),
    Action("escape", ("escape",), "up",
           "One step up: dialog, filter, maximised panel, view. Never quits."),
    Action("quit", ("q",), "quit", "Back; from the root, ask and quit.", words="quit",
           rank=22),
    Action("leave", ("ctrl+q", "ctrl+c"), "quit", "Ask and quit, from anywhere."),
)  # fmt: skip

BY_ID: Mapping[str, Action] = {action.id: action for action in ACTIONS}


class Keymap:
    """The actions with the keys an operator chose."""

    def __init__(
        self,
        overrides: Mapping[str, str] | None = None,
        *,
        own: Iterable[Action] = (),
    ) -> None:
        """Apply `overrides`: an action's id to keys, separated by commas.

        Args:
            overrides: What an operator changed.
            own: Actions that an operator added.
        """
        chosen = overrides or {}
        self.own = tuple(own)
        self.actions = (*(_rebound(action, chosen) for action in ACTIONS), *self.own)
        self.by_id = {action.id: action for action in self.actions}

    def conflicts(self) -> tuple[str, ...]:
        """Keys that an operator gave to two actions of one place, in sentences.

        The registry's own keys may meet: there the record that is looked at decides.
        """
        usual = {action.id: set(action.keys) for action in ACTIONS}
        usual |= {action.id: set[str]() for action in self.own}
        told: list[str] = []
        for number, one in enumerate(self.actions):
            for other in self.actions[number + 1 :]:
                shared = set(one.keys) & set(other.keys)
                new = shared - (usual[one.id] & usual[other.id])
                if new and _meet(one.where, other.where):
                    keys = ", ".join(sorted(key_name(key) for key in new))
                    told.append(f"{keys} is both {one.id} and {other.id}")
        return tuple(told)

    def at(self, *places: Place) -> tuple[Action, ...]:
        """The actions of these places, in the registry's order.

        Of two that have one key the more particular place's counts: what every list
        does with it is not done there.
        """
        found = [a for a in self.actions if any(p in a.where for p in places)]
        taken = {
            key
            for action in found
            if places and places[0] in action.where
            for key in action.keys
        }
        return tuple(
            action
            for action in found
            if places[0] in action.where
            or not action.keys
            or "everywhere" in action.where
            or not set(action.keys) <= taken
        )

    def bar(
        self, *places: Place, role: str | None, read_only: bool
    ) -> tuple[Action, ...]:
        """What the key bar shows, the most useful first: nothing that is refused."""
        found = [
            action
            for action in self.at(*places, "everywhere")
            if action.rank and permitted(action, role=role, read_only=read_only)
        ]
        return tuple(sorted(found, key=lambda action: action.rank))


def _meet(one: Sequence[Place], other: Sequence[Place]) -> bool:
    """Whether there is a place in which both may be meant."""
    anywhere = "everywhere"
    return anywhere in one or anywhere in other or bool(set(one) & set(other))


def permitted(action: Action, *, role: str | None, read_only: bool) -> bool:
    """Say whether a caller may do this; a node may still refuse what it knows better."""
    if action.right == "watch":
        return True
    if read_only:
        return False
    return role is None or action.right in _RIGHTS.get(role, frozenset())


def needs_node(action: Action) -> bool:
    """Say whether only a node can do this: what changes something, but for a start."""
    return action.right != "watch" and "splash" not in action.where


def find(words: str, actions: Iterable[Action] = ACTIONS) -> tuple[Action, str] | None:
    """Understand a typed command: the action with the longest fitting words, and the rest."""
    typed = " ".join(words.split())
    fitting = [
        action
        for action in actions
        if action.words
        and (typed == action.words or typed.startswith(action.words + " "))
    ]
    if not fitting:
        return None
    best = max(fitting, key=lambda action: len(action.words or ""))
    return best, typed[len(best.words or "") :].strip()


_NAMES = {
    "question_mark": "?", "exclamation_mark": "!", "slash": "/", "colon": ":",
    "minus": "-", "plus": "+", "at": "@", "enter": "Enter", "escape": "Esc", "tab": "Tab",
    "space": "Space", "shift+tab": "shift+Tab", "pageup": "PgUp", "pagedown": "PgDn",
    "up": "↑", "down": "↓", "home": "Home", "end": "End", "f1": "F1", "f5": "F5",
    "comma": ",", "full_stop": ".", "less_than_sign": "<", "greater_than_sign": ">",
    "left_square_bracket": "[", "right_square_bracket": "]",
}  # fmt: skip


def key_name(key: str) -> str:
    """A key as a person reads it."""
    return _NAMES.get(key, key)


def key_code(name: str) -> str:
    """The key a person means: what `key_name` shows, or Textual's own name."""
    for code, shown in _NAMES.items():
        if name in {shown, code}:
            return code
    return name


def _rebound(action: Action, overrides: Mapping[str, str]) -> Action:
    if action.id not in overrides:
        return action
    keys = tuple(
        key_code(name.strip())
        for name in overrides[action.id].split(",")
        if name.strip()
    )
    return msgspec.structs.replace(action, keys=keys) if keys else action
