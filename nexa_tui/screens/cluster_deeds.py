"""Changing the cluster from the console: maintenance, a node struck off, a node added.

What a change would do is asked of the node before the person is; the dialog says it.
"""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Protocol

from nexa_node.contract.cluster import ClusterChange
from nexa_node.contract.errors import NexaError
from nexa_node.contract.nodes import Node
from nexa_tui.screens.session import Session
from nexa_tui.state.detail import Field, Heading, Line, Words
from nexa_tui.state.effects import Effect, maintain_node, remove_node
from nexa_tui.state.formats import clock
from nexa_tui.state.text import clean

Work = Callable[[], Coroutine[Any, Any, None]]


class Office(Protocol):
    """What these deeds ask of the others."""

    @property
    def session(self) -> Session:
        """What is worked on."""
        ...

    def tell(self, text: str, *, severity: str = "information") -> None:
        """Say something for a moment."""
        ...

    def ask(self, screen: Any, then: Callable[[Any], None]) -> None:
        """Put a dialog on top and go on with its answer."""
        ...

    def begin(self, work: Work, *, group: str) -> None:
        """Work beside the screen."""
        ...


Confirm = Callable[[Effect, Work], None]


class ClusterDeeds:
    """Carries out what changes the cluster."""

    def __init__(self, office: Office, confirm: Confirm) -> None:
        """Work at `office`; `confirm` asks the person and then does it."""
        self._office = office
        self._confirm = confirm

    def maintain(self, node: Node) -> None:
        """Have a node take nothing new, or take it again."""
        on = node.state != "maintenance"
        effect = maintain_node(self._office.session.state, node, on=on)
        self._confirm(effect, partial(self._call_maintain, str(node.id), node.name, on))

    def remove(self, node: Node) -> None:
        """Strike a node off: what it would do is asked first."""
        self._office.begin(partial(self._plan_removal, node), group="deed")

    def join_token(self) -> None:
        """Issue a token and show it, once."""
        self._office.begin(self._issue, group="deed")

    async def _plan_removal(self, node: Node) -> None:
        client = self._office.session.client
        if client is None:
            return
        try:
            planned = await client.remove(str(node.id), dry_run=True)
        except NexaError as error:
            self._refused(error)
            return
        effect = remove_node(node, planned)
        plan = None if planned.plan is None else planned.plan.id
        self._confirm(effect, partial(self._call_remove, str(node.id), plan))

    async def _call_maintain(self, node_id: str, name: str, on: bool) -> None:
        client = self._office.session.client
        if client is not None:
            await client.maintain(node_id, on=on)
            state = "goes into maintenance" if on else "takes work again"
            self._office.tell(f"{clean(name, 40)} {state}")

    async def _call_remove(self, node_id: str, plan: str | None) -> None:
        client = self._office.session.client
        if client is not None:
            told: ClusterChange = await client.remove(node_id, dry_run=False, plan=plan)
            self._office.tell(clean(told.what, 300))

    async def _issue(self) -> None:
        from nexa_tui.screens.dialogs import Reading

        client = self._office.session.client
        if client is None:
            return
        try:
            made = await client.join_token()
        except NexaError as error:
            self._refused(error)
            return
        lines: list[Line] = [
            Heading("on the machine of the new node"),
            Words("nexa node start --join-file -", "strong"),
            Words("and paste the token there; so no one else on that machine sees it."),
            Words("Its store must be empty, and it needs a name of its own: --name."),
            Heading("the token, shown once, good for one node"),
            Words(clean(made.token, 4000), "accent"),
            Field("ends", f"{clock(made.expires)} UTC, or when it is used", "muted"),
        ]
        self._office.ask(Reading("Add a node", lines), lambda _: None)

    def _refused(self, error: NexaError) -> None:
        told = clean(error.message, 300)
        if error.remedy:
            told += f"; {clean(error.remedy, 200)}"
        self._office.tell(told, severity="error")
