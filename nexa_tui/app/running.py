"""From the command line's wishes to a console on the terminal, and back to the shell."""

import atexit
import gc
import os
import random
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import msgspec

from nexa_node.contract import places
from nexa_node.contract.checks import CheckResult
from nexa_node.contract.errors import NexaError
from nexa_tui.actions import BY_ID, FORBIDDEN_KEYS, Keymap
from nexa_tui.app.console import Console
from nexa_tui.app.life import Lifeline
from nexa_tui.client.api import NodeClient
from nexa_tui.client.clock import SystemClock
from nexa_tui.client.discovery import Target, discover, sibling
from nexa_tui.client.places import base_folders
from nexa_tui.screens.finding import still_running
from nexa_tui.screens.session import Doors, Session
from nexa_tui.screens.user_actions import actions_of, read_user_actions
from nexa_tui.settings import ConsoleOptions, ConsoleSettings, read_settings
from nexa_tui.theming import Themes, terminal


def run_console(options: ConsoleOptions) -> int:
    """Open the console and stay until it is left.

    Returns:
        The exit code: 0 left, 1 failed, 128 + a signal. Settings that are wrong stop
        nothing: the defaults hold, and the console says so.
    """
    gc.disable()  # 70 ms of the start; switched on again when all is there
    os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
    problem: NexaError | None = None
    try:
        settings = read_settings(
            options.environ, actions=frozenset(BY_ID), refused=FORBIDDEN_KEYS
        )
    except NexaError as error:
        settings, problem = ConsoleSettings(), error
    try:
        console = build(options, settings, problem)
    except NexaError as error:
        sys.stderr.write(f"nexa: {error.message} — mend: {error.remedy}\n")
        return 1
    with Lifeline(console.leave_now):
        slow = options.slow_link or settings.slow_link
        mouse = options.mouse and settings.mouse is not False and not slow
        answer = console.run(mouse=mouse)
    if console.failed is not None:
        sys.stderr.write(console.last_words() + "\n")
        return 1
    if answer == "stop":
        return _stop(console.session)
    if answer == "demo":
        _become("demo", options)
    return console.return_code or 0


def build(
    options: ConsoleOptions, settings: ConsoleSettings, problem: NexaError | None = None
) -> Console:
    """Make a console on real nodes; `problem` is what is wrong with its settings."""
    config, _ = base_folders(options.environ)
    replayed = options.replay is not None
    doors = _recorded(options) if replayed else _recording(options, _doors(options))
    try:
        own = read_user_actions(Path(places.user_actions(config)))
    except NexaError as error:
        own, problem = {}, problem or error
    keymap = Keymap(settings.keys, own=actions_of(own))
    session = Session(options, doors, keymap)
    session.own = own
    if options.replay is not None:
        session.attach(_target(options.replay))
    return Console(
        session,
        settings,
        problem=problem,
        themes=Themes(Path(places.user_themes(config))),
        terminal=terminal(
            options.environ, ascii_only=options.ascii or bool(settings.ascii)
        ),
    )


def _doors(options: ConsoleOptions) -> Doors:
    clock, rng = SystemClock(), random.Random()

    def connect(target: Target) -> NodeClient:
        from nexa_tui.client.http import HttpNode

        return HttpNode(target, clock, rng, resolve=lambda: _moved(target, options))

    def check_here(only: str | None) -> AsyncIterator[CheckResult]:
        from nexa_tui.client.selftest import run_here

        return run_here(options.environ, only=only)

    return Doors(clock, connect, check_here, rng)


def _recording(options: ConsoleOptions, doors: Doors) -> Doors:
    """The same doors, with a scribe behind each node; as they are if none is wanted.

    Raises:
        NexaError: The file can't be made.
    """
    if options.record is None:
        return doors
    from nexa_tui.client.recording import Recorder, Tape

    tape = Tape(options.record, doors.clock, name=options.context or "node")
    atexit.register(tape.close)
    connect = doors.connect

    def recorded(target: Target) -> NodeClient:
        if tape.problem:
            options.announced.append(tape.problem)
        return cast("NodeClient", Recorder(connect(target), tape))

    return msgspec.structs.replace(doors, connect=recorded)


def _recorded(options: ConsoleOptions) -> Doors:
    """Doors to a recording.

    Raises:
        NexaError: It can't be read.
    """
    from nexa_tui.client.playback import Playback, read_reel

    assert options.replay is not None
    reel = read_reel(options.replay)
    plain = _doors(options)

    def connect(target: Target) -> NodeClient:
        return Playback(
            target,
            reel,
            plain.clock,
            speed=options.speed,
            tell=options.announced.append,
        )

    return msgspec.structs.replace(plain, connect=connect)


def _target(path: Path) -> Target:
    return Target(
        url=f"replay:{path.name}",
        token=None,
        name=path.name,
        source=f"--replay {path}",
        read_only=True,
    )


def _moved(target: Target, options: ConsoleOptions) -> Target | None:
    """Where a node of this machine is now, or else another one of its cluster.

    A node elsewhere stays where it is.
    """
    if target.pid is None:
        return None
    try:
        return discover(options.environ, name=target.name) or sibling(
            options.environ, target
        )
    except NexaError:
        return None


def _stop(session: Session) -> int:
    """Stop the nodes that this console started, in sight of the shell."""
    from nexa_tui.client.launch import stop_node

    def told(words: str) -> None:
        sys.stderr.write(f"nexa: {words}\n")

    code = 0
    for target in still_running(session.started, session.options.environ):
        try:
            stop_node(target, environ=session.options.environ, say=told)
        except NexaError as error:
            sys.stderr.write(f"nexa: {error.message}; mend: {error.remedy}\n")
            code = 1
    return code


def _become(command: str, options: ConsoleOptions) -> None:
    """Go on as another command: the terminal is the shell's again by now."""
    os.execve(  # noqa: S606  no shell is wanted
        sys.executable,
        [sys.executable, "-m", "nexa_tui", command],
        dict(options.environ),
    )
