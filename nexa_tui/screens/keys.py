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
    "open": "move.choose",
}
"""What a view of lines binds by itself, under names of its own."""


def bindings(*places: Place) -> list[BindingType]:
    """The bindings of these places; each calls `action_` with its id's words joined."""
    return [
        Binding(",".join(action.keys), method(action.id), show=False, id=action.id)
        for action in ACTIONS
        if action.keys
        and action.id not in _MOVES
        and any(place in action.where for place in places)
    ]


def method(action_id: str) -> str:
    """The name of the action: `task-cancel` is `action_task_cancel`."""
    if action_id.startswith("view-"):
        return f"view('{action_id.removeprefix('view-')}')"
    return action_id.replace("-", "_")


def chosen(keymap: Keymap) -> dict[str, str]:
    """What an operator changed, as Textual wants it."""
    standard = {action.id: action.keys for action in ACTIONS}
    changed = {
        action.id: ",".join(action.keys)
        for action in keymap.actions
        if action.keys != standard[action.id]
    }
    return {_MOVES.get(name, name): keys for name, keys in changed.items()}
