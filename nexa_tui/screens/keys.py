"""Bindings for Textual, made from the registry of actions."""

from collections.abc import Mapping

from textual.binding import Binding, BindingType

from nexa_tui.actions import ACTIONS, Keymap, Place

_MOVES: Mapping[str, str] = {
    "down": "move.down",
    "up": "move.up",
    "top": "move.first",
    "bottom": "move.last",
    "half-down": "move.half-down",
    "half-up": "move.half-up",
}
"""What a view of lines binds by itself, under names of its own."""
_ON_SCREEN = frozenset(("back", "escape", "quit", "tab-next", "tab-previous"))
_IN_VIEW = frozenset(
    (
        "filter", "sort", "reverse", "problems", "maximise", "next-panel",
        "previous-panel", "open", "go-on", "open-check", "run-check", "run-checks",
        "topic", "follow", "seek",
        "query", "zoom-in", "zoom-out", "hair-left", "hair-right",
    )
)  # fmt: skip


def bindings(
    *places: Place, without: frozenset[str] = frozenset()
) -> list[BindingType]:
    """The bindings of these places, each key once."""
    made: list[BindingType] = []
    taken: set[str] = set()
    for action in ACTIONS:
        keys = [key for key in action.keys if key not in taken]
        here = any(place in action.where for place in places)
        if keys and here and action.id not in _MOVES and action.id not in without:
            taken.update(keys)
            made.append(
                Binding(",".join(keys), method(action.id), show=False, id=action.id)
            )
    return made


def frame_bindings() -> list[BindingType]:
    """What the frame itself binds: all that needs no particular view in focus."""
    places: tuple[Place, ...] = (
        "everywhere", "no-node", "nodes", "agents", "tasks", "alerts", "silences", "alert-history", "rules",
        "metrics", "events", "audit", "tokens", "roles", "namespaces", "messages", "topics", "inboxes",
        "dead-letters", "logs",
        "list",
        "detail",
    )  # fmt: skip
    return bindings(*places, without=_IN_VIEW)


def method(action_id: str) -> str:
    """Who does it: the view that has the focus, the screen, or the application."""
    if action_id.startswith("view-"):
        return f"screen.view('{action_id.removeprefix('view-')}')"
    if action_id in _ON_SCREEN:
        return "screen." + action_id.replace("-", "_")
    if action_id in _IN_VIEW:
        return action_id.replace("-", "_")
    return f"app.do('{action_id}')"


def is_local(action_id: str) -> bool:
    """Say whether only the view in focus can do it."""
    return action_id in _IN_VIEW


def chosen(keymap: Keymap) -> dict[str, str]:
    """What an operator changed, as Textual wants it."""
    standard = {action.id: action.keys for action in ACTIONS}
    changed = {
        action.id: ",".join(action.keys)
        for action in keymap.actions
        if action.keys != standard.get(action.id, action.keys)
    }
    return {_MOVES.get(name, name): keys for name, keys in changed.items()}
