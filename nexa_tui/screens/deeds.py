"""What actions do: the way from a key or a typed command to a call, and its answer.

An action that needs a right is refused here with the reason, one that destroys asks
first. The node has the last word, and what it says is shown as it said it.
"""

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from nexa_node.contract import places
from nexa_node.contract.errors import NexaError
from nexa_node.contract.ids import AgentId, TaskId
from nexa_node.contract.nodes import Node
from nexa_tui.actions import Action, Place, find
from nexa_tui.client.api import Deed
from nexa_tui.client.discovery import Target
from nexa_tui.client.places import base_folders
from nexa_tui.screens.access_doing import access_doing
from nexa_tui.screens.alert_doing import alert_doing
from nexa_tui.screens.cluster_deeds import ClusterDeeds
from nexa_tui.screens.message_doing import message_doing
from nexa_tui.screens.planned import confirm_planned
from nexa_tui.screens.session import Session
from nexa_tui.state.effects import (
    Effect,
    cancel_task,
    disconnect_agent,
    drain_agent,
    drain_node,
)
from nexa_tui.state.spans import seconds_of
from nexa_tui.state.store import Live
from nexa_tui.state.text import clean

if TYPE_CHECKING:
    from nexa_tui.screens.user_actions import UserAction

CLIPBOARD_MAX = 50_000
"""Characters: terminals take about 74,000 encoded ones."""


Work = Callable[[], Coroutine[Any, Any, None]]
"""Something to do beside the screen; it may be ended before it began."""


class Desk(Protocol):
    """What deeds ask of the application."""

    session: Session

    def tell(self, text: str, *, severity: str = "information") -> None:
        """Say something for a moment."""
        ...

    def ask(self, screen: Any, then: Callable[[Any], None]) -> None:
        """Put a dialog on top and go on with its answer."""
        ...

    def begin(self, work: Work, *, group: str) -> None:
        """Work beside the screen; a second of the same group ends the first."""
        ...

    def turn_to(self, target: Target) -> None:
        """Turn to a node."""
        ...

    def go(self, name: str) -> None:
        """Turn to a view of the dashboard."""
        ...

    def local(self, action: Action, argument: str) -> None:
        """Let the view in focus do it."""
        ...

    def subject(self) -> tuple[Place, str] | None:
        """What the person looks at: a list and a key."""
        ...

    def address(self) -> str | None:
        """The address of what the person looks at."""
        ...

    def open_address(self, address: str) -> None:
        """Turn to what an address names."""
        ...

    def viewed(self) -> object:
        """The view that is seen, for what only it can tell."""
        ...

    def here(self) -> Sequence[Place]:
        """Where the person is."""
        ...

    def lend_terminal(self, words: Sequence[str]) -> int:
        """Let a program have the terminal until it ends; its exit code."""
        ...

    def leave(self, answer: str) -> None:
        """End the console: `detach`, `stop` or `demo`."""
        ...


REWIND_S = 10.0
"""A step back in time."""


class Deeds:
    """Carries out the actions that belong to no view."""

    def __init__(self, desk: Desk) -> None:
        """Work at `desk`."""
        self._desk = desk
        self._session = desk.session
        self._cluster = ClusterDeeds(desk, self._confirm)
        self._said: tuple[Action, str] | None = None
        """What is being done, and to what if that was typed."""
        self._doing: dict[str, Callable[[str], None]] = {
            "go-on": lambda _: desk.go(self._session.options.first),
            "start-node": lambda _: self._start(),
            "attach": self._attach,
            "cluster-use": self._use_cluster,
            "demo": lambda _: desk.leave("demo"),
            "copy": lambda _: self._copy(),
            "pause": lambda _: self._pause(),
            "rewind": lambda span: self._rewind(-1, span),
            "forward": lambda span: self._rewind(1, span),
            "rewind-far": lambda _: self._rewind(-1, "1m"),
            "forward-far": lambda _: self._rewind(1, "1m"),
            "palette": lambda _: self._palette(),
            "help": lambda _: self._help(),
            "reconnect": lambda _: self._reconnect(),
            "leave": lambda _: self._leave(),
            "task-cancel": self._cancel,
            "agent-disconnect": self._disconnect,
            "agent-drain": self._drain_agent,
            "node-drain": self._drain,
            "node-maintenance": self._maintain,
            "node-remove": self._remove,
            "join-token": lambda _: self._cluster.join_token(),
            **alert_doing(desk, self._confirm, self.say),
            **message_doing(desk, self._confirm),
            **access_doing(desk, self._confirm),
            "export": self._export,
            "columns": self._columns,
        }

    def do(self, action_id: str, argument: str = "", *, typed: bool = False) -> None:
        """Do what the registry calls `action_id`, if it may be done.

        Args:
            action_id: Of a key that may mean something else where the person looks.
            argument: To what; what the person looks at if it is empty.
            typed: Whether it was named by its words, which mean nothing else.
        """
        action = self._session.keymap.by_id[action_id]
        action = action if typed or argument else self._meant(action)
        self._said = action, argument
        if not self._session.may(action):
            self._desk.tell(self._why_not(action), severity="warning")
        elif (why := self._session.missing(action)) is not None:
            self._desk.tell(f"{action.label}: not now, {why}", severity="warning")
        elif action.id in self._session.own:
            if self._session.read_only and not self._session.own[action.id].looks:
                self._desk.tell(self._why_not(action), severity="warning")
            else:
                self._do_own(action)
        elif action.id in self._doing:
            self._doing[action.id](argument)
        else:
            self._desk.local(action, argument)

    def _do_own(self, action: Action) -> None:
        from nexa_tui.screens.user_actions import expanded
        from nexa_tui.screens.user_deeds import effect_of, values_of

        own, subject = self._session.own[action.id], self._desk.subject()
        places = {*self._desk.here(), *(() if subject is None else (subject[0],))}
        if "everywhere" not in action.where and not places & set(action.where):
            self._desk.tell(f"{action.words} is for {', '.join(action.where)}")
            return
        try:
            words = expanded(own, values_of(self._session, subject))
        except NexaError as error:
            self._desk.tell(_sentence(error), severity="warning")
            return
        run = partial(self._run_own, own, words)
        if own.confirm:
            self._confirm(effect_of(action.words or "", own, words), run)
        else:
            self._desk.begin(partial(self._call, run), group="deed")

    async def _run_own(self, own: "UserAction", words: list[str]) -> None:
        from nexa_tui.screens.dialogs import Reading
        from nexa_tui.screens.user_deeds import run_beside, told_lines

        if own.terminal:
            code = self._desk.lend_terminal(words)
            self._desk.tell(f"{clean(words[0], 60)} ended with {code}")
            return
        code, said = await run_beside(words, timeout_s=own.timeout_s)
        lines = told_lines(words, code, said)
        self._desk.ask(Reading("What it said", lines), lambda _: None)

    def say(self, words: str) -> None:
        """Do what was typed."""
        if words.startswith("nexa://"):
            self._desk.open_address(words)
            return
        found = find(words, self._session.keymap.actions)
        if found is None:
            told = f"no command '{clean(words, 60)}'; : lists them"
            self._desk.tell(told, severity="warning")
            return
        action, argument = found
        if action.id.startswith("view-"):
            self._desk.go(action.id.removeprefix("view-"))
        else:
            self.do(action.id, argument, typed=True)

    def _meant(self, action: Action) -> Action:
        """Of the actions on one key, the one that belongs where the person looks."""
        subject = self._desk.subject()
        here = {subject[0]} if subject is not None else set(self._desk.here())
        if here & set(action.where) or "everywhere" in action.where:
            return action
        for other in self._session.keymap.actions:
            same = set(other.keys) & set(action.keys)
            alike = other.dangerous == action.dangerous
            if same and alike and here & set(other.where):
                return other
        return action

    def _why_not(self, action: Action) -> str:
        if self._session.read_only:
            return f"{action.label}: refused, this console is read-only"
        role = self._session.role or "nobody"
        return f"{action.label}: refused, a {clean(role, 20)} may only look"

    def _start(self) -> None:
        session = self._session
        if session.starting is not None:
            return
        if isinstance(session.state.link, Live):
            self._desk.tell("a node is attached already")
            return
        self._desk.begin(self._started, group="start")

    async def _started(self) -> None:
        from nexa_tui.client.launch import start_node
        from nexa_tui.client.threads import beside

        session = self._session
        session.start_error = None
        session.starting = "starting a node"

        def told(words: str) -> None:
            session.starting = f"starting a node: {words}"

        try:
            target = await beside(lambda: start_node(session.options.environ, say=told))
        except NexaError as error:
            session.start_error = error
            self._desk.tell(_sentence(error), severity="error")
        else:
            session.started.append(target)
            self._desk.turn_to(target)
        finally:
            session.starting = None
            session.on_news()

    def _attach(self, url: str) -> None:
        if url:
            self._attach_to(f"url:{url}")
            return
        from nexa_tui.screens.dialogs import Attach
        from nexa_tui.screens.finding import found, needs_token

        environ = self._session.options.environ
        try:
            rows = found(environ)
        except NexaError as error:
            self._desk.tell(_sentence(error), severity="error")
            rows = ()
        dialog = Attach(rows, needs_token=partial(needs_token, environ=environ))

        def chose(chosen: str) -> None:
            self._attach_to(chosen, token=dialog.token)

        self._desk.ask(dialog, chose)

    def _attach_to(self, chosen: str, *, token: str = "") -> None:
        from nexa_tui.screens.finding import target_of

        if not chosen:
            return
        try:
            environ = self._session.options.environ
            target = target_of(chosen, environ, token=token)
        except NexaError as error:
            self._desk.tell(_sentence(error), severity="error")
            return
        self._desk.turn_to(target)
        if token:
            self._desk.tell(f"to keep it with its token: nexa login {target.url}")

    def _use_cluster(self, name: str) -> None:
        key = name or self._key_of("clusters")
        if not key:
            self._desk.tell("name a context; 0 lists them", severity="warning")
            return
        self._attach_to(key if ":" in key else f"context:{key}")
        self._desk.go("overview")

    def _copy(self) -> None:
        address = self._desk.address()
        if address is None:
            self._desk.tell("nothing to copy here")
            return
        text = clean(address, 500)
        kept = _keep(text, self._session)
        told = f"copied {text}" + (f"; also in {kept}" if kept else "")
        self._desk.local(self._session.keymap.by_id["copy"], text)
        self._desk.tell(told)

    def _pause(self) -> None:
        self._session.pause()
        self._session.on_news()

    def _rewind(self, way: int, span: str) -> None:
        try:
            by_s = seconds_of(span) if span else REWIND_S
        except ValueError as error:
            self._desk.tell(str(error), severity="warning")
            return
        ago = self._session.rewind(way * by_s)
        if ago is None:
            self._desk.tell("nothing was seen yet that could be shown again")
        elif ago == 0 and self._session.paused:
            self._desk.tell("that is the newest; p goes on")
        self._session.on_news()

    def _palette(self) -> None:
        from nexa_tui.screens.palette import Palette

        session = self._session
        offered = [one for one in session.keymap.actions if session.may(one)]
        self._desk.ask(
            Palette(offered), lambda words: self.say(words) if words else None
        )

    def _help(self) -> None:
        from nexa_tui.screens.dialogs import Reading, help_lines

        session = self._session
        allowed = [one.id for one in session.keymap.actions if session.may(one)]
        lines = help_lines(session.keymap, self._desk.here(), allowed)
        self._desk.ask(Reading("Keys", lines), lambda _: None)

    def _reconnect(self) -> None:
        target = self._session.target
        if target is None:
            self._desk.tell("there is no node to connect to")
        else:
            self._desk.turn_to(target)

    def _leave(self) -> None:
        from nexa_tui.screens.dialogs import Quit
        from nexa_tui.screens.finding import still_running

        def answered(answer: str) -> None:
            if answer:
                self._desk.leave(answer)

        session = self._session
        started = still_running(session.started, session.options.environ)
        demo = "NEXA_DEMO" in session.options.environ
        self._desk.ask(Quit(started, demo=demo), answered)

    def _cancel(self, key: str) -> None:
        task_id = TaskId(key or self._key_of("tasks"))
        state = self._session.state
        task = state.tasks.get(task_id)
        if task is None:
            self._unknown("task", task_id, "nexa task list")
            return
        effect = cancel_task(state, task, self._session.now)
        self._confirm(effect, lambda: self._call_cancel(task_id))

    def _disconnect(self, key: str) -> None:
        agent_id = AgentId(key or self._key_of("agents"))
        agent = self._session.state.agents.get(agent_id)
        if agent is None:
            self._unknown("agent", agent_id, "nexa agents list")
            return
        self._confirm_planned(
            disconnect_agent(agent),
            ("disconnect", agent_id),
            partial(self._call_disconnect, agent_id),
        )

    def _drain_agent(self, key: str) -> None:
        agent_id = AgentId(key or self._key_of("agents"))
        agent = self._session.state.agents.get(agent_id)
        if agent is None:
            self._unknown("agent", agent_id, "nexa agents list")
            return
        on = not agent.drained
        effect = drain_agent(agent, on=on)
        self._confirm(effect, lambda: self._call_drain_agent(agent_id, on=on))

    def _drain(self, key: str) -> None:
        node = self._node(key)
        if node is not None:
            node_id = str(node.id)
            self._confirm_planned(
                drain_node(self._session.state, node),
                ("drain", node_id),
                partial(self._call_drain, node_id),
            )

    def _maintain(self, key: str) -> None:
        node = self._node(key)
        if node is not None:
            self._cluster.maintain(node)

    def _remove(self, key: str) -> None:
        node = self._node(key)
        if node is not None:
            self._cluster.remove(node)

    def _export(self, kind: str) -> None:
        from nexa_tui.screens.list_deeds import export

        export(self._desk, self._desk.viewed(), kind)

    def _columns(self, words: str) -> None:
        from nexa_tui.screens.lists import ListView

        view = self._desk.viewed()
        if not isinstance(view, ListView):
            self._desk.tell("there is no list here", severity="warning")
        elif words:
            shown = cast("ListView[Any]", view)
            fault = shown.columns_fault(words)
            if fault is None:
                shown.choose_columns(words)
            else:
                self._desk.tell(fault, severity="warning")
        else:
            view.action_columns()

    def _node(self, key: str) -> Node | None:
        """The node that is meant; says so if there is none."""
        wanted = key or self._key_of("nodes")
        cluster = self._session.state.cluster
        for node in cluster.nodes if cluster else ():
            if wanted in {node.id, node.name}:
                return node
        self._unknown("node", wanted, "nexa cluster status")
        return None

    def _confirm(
        self,
        effect: Effect,
        call: Work,
    ) -> None:
        if effect.refused is not None:
            self._desk.tell(f"{effect.verb}: {effect.refused}", severity="warning")
            return
        from nexa_tui.widgets.confirm import Confirm

        here = self._session.target
        where = (
            (f"This is PRODUCTION: {clean(here.name, 60)}.",)
            if here is not None and here.production
            else ()
        )
        dialog = Confirm(
            title=effect.title,
            target=effect.target,
            effects=(*where, *effect.lines, *self._as_command()),
            verb=effect.verb,
            keep=effect.keep,
            type_name=effect.type_name,
        )

        def answered(yes: bool | None) -> None:
            if yes:
                self._desk.begin(partial(self._call, call), group="deed")

        self._desk.ask(dialog, answered)

    def _confirm_planned(
        self, effect: Effect, deed: tuple[Deed, str], call: Callable[[str], Any]
    ) -> None:
        """Ask with the node's own figures; what the person saw is what is done."""
        if effect.refused is None:
            work = partial(confirm_planned, self._session, effect, deed, call)
            ask = partial(work, self._confirm)
            self._desk.begin(partial(self._call, ask), group="deed")
        else:
            self._confirm(effect, _nothing)

    def _as_command(self) -> tuple[str, ...]:
        """The command line that would do the same, as a sentence."""
        if self._said is None or self._said[0].words is None:
            return ()
        if self._said[0].id == "alert-runbook":
            return ()  # its steps are commands themselves
        action, typed = self._said
        subject = self._desk.subject()
        meant = typed or (subject[1] if subject is not None and action.takes else "")
        return (f"As a command: {clean(f'nexa {action.words} {meant}', 120).strip()}",)

    async def _call(self, call: Work) -> None:
        try:
            await call()
        except NexaError as error:
            self._desk.tell(_sentence(error), severity="error")

    async def _call_cancel(self, task_id: TaskId) -> None:
        client = self._session.client
        if client is not None:
            task = await client.cancel(task_id)
            self._desk.tell(f"task {clean(task_id)} is {task.status}")

    async def _call_disconnect(self, agent_id: AgentId, plan: str) -> None:
        client = self._session.client
        if client is not None:
            await client.disconnect(agent_id, plan=plan)
            self._desk.tell(f"agent {clean(agent_id)} is disconnected")

    async def _call_drain_agent(self, agent_id: AgentId, *, on: bool) -> None:
        client = self._session.client
        if client is not None:
            await client.drain_agent(agent_id, on=on)
            told = "gets no new tasks" if on else "gets tasks again"
            self._desk.tell(f"agent {clean(agent_id)} {told}")

    async def _call_drain(self, node_id: str, plan: str) -> None:
        client = self._session.client
        if client is not None:
            await client.drain(node_id, plan=plan)
            self._desk.tell("the node drains; its end is shown here")

    def _key_of(self, place: Place) -> str:
        subject = self._desk.subject()
        return subject[1] if subject is not None and subject[0] == place else ""

    def _unknown(self, noun: str, key: str, command: str) -> None:
        article = "an" if noun[0] in "aeiou" else "a"
        choose = f"choose {article} {noun} first"
        told = f"no {noun} {clean(key, 60)}" if key else choose
        self._desk.tell(f"{told}; {command}", severity="warning")


async def _nothing() -> None:
    """There is nothing to do."""


def _sentence(error: NexaError) -> str:
    told = clean(error.message, 300)
    return f"{told}; {clean(error.remedy, 200)}" if error.remedy else told


def _keep(text: str, session: Session) -> Path | None:
    """Write what was copied to a file, too: not every terminal has OSC 52."""
    import os

    _, state = base_folders(session.options.environ)
    path = Path(places.startup_log(state)).with_name("copied.txt")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
            file.write(text[:CLIPBOARD_MAX] + "\n")
    except OSError:
        return None
    return path
