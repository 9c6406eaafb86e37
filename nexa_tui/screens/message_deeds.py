"""Sending a message, and what becomes of dead letters."""

import msgspec

from nexa_node.contract.errors import NexaError
from nexa_node.contract.ids import AgentId, TaskId
from nexa_node.contract.messages import Address, NewMessage
from nexa_node.contract.tasks import Json, Redrive, TaskSummary
from nexa_tui.screens.cluster_deeds import Confirm, Office
from nexa_tui.screens.form import Answers, Blank, Form
from nexa_tui.state.dead_letters import purge_task, redrive_task
from nexa_tui.state.text import clean


class MessageDeeds:
    """Carries out what is done with messages and dead letters."""

    def __init__(self, office: Office, confirm: Confirm) -> None:
        """Work at `office`; `confirm` asks the person and then does it."""
        self._office = office
        self._confirm = confirm

    def send(self, to: str = "") -> None:
        """Ask what is to be sent to whom; `to` as on the command line."""
        form = Form(
            title="Send a message",
            target="as nexa send TO TYPE --data JSON does",
            blanks=(
                Blank("to", "to", to, hint="AGENT, topic:NAME, capability:NAME, all"),
                Blank("type", "type", hint="what it means to the receiver"),
                Blank(
                    "data",
                    "data",
                    hint='JSON: {"a": 1}, "text"; empty: none',
                    most=20_000,
                ),
            ),
            verb="Send",
            check=_fault,
        )
        self._office.ask(form, self._answered)

    def redrive(self, task: TaskSummary) -> None:
        """Bring a dead letter back, after the person has said so."""

        async def call() -> None:
            client = self._office.session.client
            if client is not None:
                told = await client.redrive(Redrive(ids=(task.id,)))
                self._tell(task.id, told.failed, "is in its queue again")

        self._confirm(redrive_task(task), call)

    def purge(self, task: TaskSummary) -> None:
        """Forget a dead letter, after the person has said so."""

        async def call() -> None:
            client = self._office.session.client
            if client is not None:
                told = await client.purge(Redrive(ids=(task.id,)))
                self._tell(task.id, told.failed, "is forgotten")

        self._confirm(purge_task(task), call)

    def _tell(self, task_id: TaskId, failed: dict[TaskId, str], done: str) -> None:
        if task_id in failed:
            self._office.tell(clean(failed[task_id], 300), severity="error")
        else:
            self._office.tell(f"task {clean(task_id, 60)} {done}")

    def _answered(self, answers: Answers | None) -> None:
        if answers is None:
            return
        message = NewMessage(
            to=address_of(answers["to"]),
            type=answers["type"],
            data=_data(answers["data"]),
        )

        async def work() -> None:
            client = self._office.session.client
            if client is None:
                return
            try:
                sent = await client.send(message)
            except NexaError as error:
                told = clean(error.message, 300)
                if error.remedy:
                    told += f"; {clean(error.remedy, 200)}"
                self._office.tell(told, severity="error")
            else:
                self._office.tell(f"sent: {clean(sent.id, 80)}; as {command(answers)}")

        self._office.begin(work, group="deed")


def address_of(to: str) -> Address:
    """Understand where a message goes, as the command line does."""
    if to == "all":
        return Address(broadcast=True)
    kind, colon, name = to.partition(":")
    if colon and kind == "capability":
        return Address(capability=name)
    if colon and kind == "topic":
        return Address(topic=name)
    return Address(agent=AgentId(to))


def command(answers: Answers) -> str:
    """The command line that sends the same."""
    import shlex

    words = ["nexa", "send", answers["to"], answers["type"]]
    if answers["data"]:
        words += ["--data", answers["data"]]
    return shlex.join(words)


def _data(text: str) -> Json:
    return msgspec.json.decode(text) if text else None


def _fault(answers: Answers) -> str | None:
    if not answers["to"]:
        return "Say to whom: an agent's id, topic:NAME, capability:NAME, or all."
    if not answers["type"]:
        return "Say what type: the receiver goes by it."
    try:
        _data(answers["data"])
    except msgspec.DecodeError as error:
        return f'The data is no JSON ({error}); a text stands in "quotes".'
    return None
