"""Tokens made, renewed and ended from the console; the audit verified."""

import shlex

from nexa_node.contract.access import ROLES, NewToken, Scope, TokenCreated, TokenView
from nexa_node.contract.errors import NexaError
from nexa_tui.screens.cluster_deeds import Confirm, Office
from nexa_tui.screens.form import Answers, Blank, Form
from nexa_tui.screens.planned import confirm_planned
from nexa_tui.state.access import revoke_token, rotate_token
from nexa_tui.state.detail import Field, Heading, Line, Words
from nexa_tui.state.text import clean

OVERLAP_S = 600


class AccessDeeds:
    """Carries out what is done with tokens."""

    def __init__(self, office: Office, confirm: Confirm) -> None:
        """Work at `office`; `confirm` asks the person and then does it."""
        self._office = office
        self._confirm = confirm

    def revoke(self, token: TokenView) -> None:
        """End a token, after the person has said so."""

        async def call(plan: str) -> None:
            client = self._office.session.client
            if client is not None:
                await client.revoke_token(token.id, plan=plan)
                self._office.tell(f"{clean(token.id, 60)} is revoked")

        async def ask() -> None:
            session, effect = self._office.session, revoke_token(token)
            deed = ("revoke_token", token.id)
            try:
                await confirm_planned(session, effect, deed, call, self._confirm)
            except NexaError as error:
                self._refused(error)

        self._office.begin(ask, group="deed")

    def rotate(self, token: TokenView) -> None:
        """Give a token a new secret, after the person has said so; show it once."""

        async def call() -> None:
            client = self._office.session.client
            if client is not None:
                self._show(await client.rotate_token(token.id, overlap_s=OVERLAP_S))

        self._confirm(rotate_token(token), call)

    def create(self) -> None:
        """Ask what the token is to be, and make it; show it once."""
        form = Form(
            title="Make a token",
            target="as nexa token create does",
            blanks=(
                Blank("role", "role", "agent", hint=f"{', '.join(ROLES)}, or your own"),
                Blank("name", "name", hint="who it is for"),
                Blank(
                    "namespaces", "namespaces", hint="nothing else exists; empty: all"
                ),
            ),
            verb="Make it",
            check=lambda answers: None if answers["role"] else "Say which role.",
        )
        self._office.ask(form, self._answered)

    def verify(self) -> None:
        """Verify the audit of all nodes."""
        self._office.tell("every node's audit is read; that may take a while")
        self._office.begin(self._verified, group="verify")

    def _answered(self, answers: Answers | None) -> None:
        if answers is None:
            return
        wanted = NewToken(
            role=answers["role"],
            name=answers["name"],
            scope=Scope(namespaces=tuple(answers["namespaces"].split())),
        )

        async def work() -> None:
            client = self._office.session.client
            if client is None:
                return
            try:
                made = await client.create_token(wanted)
            except NexaError as error:
                self._refused(error)
            else:
                self._show(made, command(wanted))

        self._office.begin(work, group="deed")

    async def _verified(self) -> None:
        client = self._office.session.client
        if client is None:
            return
        try:
            found = await client.verify_audit()
        except NexaError as error:
            self._refused(error)
            return
        told = f"{found.records:,} records, {found.checkpoints} checkpoints"
        if found.status == "ok":
            self._office.tell(f"the audit is whole: {told}; as nexa audit verify")
            return
        where = (
            f"{clean(found.chain, 60)} record {found.first_bad}: "
            if found.chain
            else ""
        )
        self._office.tell(
            f"{found.status.upper()}: {where}{clean(found.reason, 300)}",
            severity="error",
        )

    def _show(self, made: TokenCreated, as_command: str = "") -> None:
        from nexa_tui.screens.dialogs import Reading

        ends = "never" if made.expires is None else f"{made.expires:%Y-%m-%d %H:%M} UTC"
        lines: list[Line] = [
            Field("token", clean(made.id, 80), "strong"),
            Field("role", clean(made.role, 60)),
            Field("ends", ends),
            Heading("the secret, shown once"),
            Words(clean(made.token, 200), "accent"),
        ]
        if as_command:
            lines.append(Words(f"As a command: {as_command}", "muted"))
        self._office.ask(Reading("A token", lines), lambda _: None)

    def _refused(self, error: NexaError) -> None:
        told = clean(error.message, 300)
        if error.remedy:
            told += f"; {clean(error.remedy, 200)}"
        self._office.tell(told, severity="error")


def command(wanted: NewToken) -> str:
    """The command line that makes the same."""
    words = ["nexa", "token", "create", "--role", wanted.role]
    if wanted.name:
        words += ["--name", wanted.name]
    for namespace in wanted.scope.namespaces:
        words += ["--namespace", namespace]
    return clean(shlex.join(words), 300)
