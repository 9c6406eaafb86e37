"""The rules in force: those that come with nexa, and the operator's files.

A file that can't be read any more changes nothing: what it said before stays in force,
and it is told what is wrong, in which line. Reading happens in a thread.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nexa_node.contract.alerts import RulesLoaded
from nexa_node.ports import Clock, RuleFiles
from nexa_node.services.api import Journal

if TYPE_CHECKING:  # what reads rules is loaded in the thread, once rules are read
    from nexa_node.core.alerting.rules import Group
    from nexa_node.core.alerting.ruling import Part

LOOK_S = 2.0
"""How often it is looked whether a file has changed."""
WAIT_S = 0.1
BUILTIN = "builtin"
FAULTS_KEPT = 50

OnLoad = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Book:
    """What is in force."""

    groups: "tuple[Group, ...]" = ()
    parts: "tuple[Part, ...]" = ()
    files: tuple[str, ...] = ()
    faults: tuple[tuple[str, str], ...] = ()
    """Files that can't be taken, and why: what they said before is in force."""
    warnings: tuple[str, ...] = ()


class Rulebook:
    """Reads rules, and reads them again when they change."""

    def __init__(
        self,
        files: RuleFiles,
        *,
        builtin: Callable[[], str],
        clock: Clock,
        journal: Journal,
        node: str,
        started: Callable[[], bool] = lambda: True,
    ) -> None:
        """Know no rule before `run`.

        Args:
            files: The operator's.
            builtin: Reads nexa's own; called in a thread.
            clock: How often to look.
            journal: Told of what was loaded and of what is wrong.
            node: This node's name.
            started: Whether the node's start is over: what reads rules is loaded then,
                and not in its way.
        """
        self._started = started
        self._files = files
        self._builtin = builtin
        self._clock = clock
        self._journal = journal
        self._node = node
        self._good: dict[str, tuple[Group, ...]] = {}
        self._stamp: object = None
        self._turn = asyncio.Lock()
        self._listeners: list[OnLoad] = []
        self.book = Book()

    def on_load(self, listener: OnLoad) -> None:
        """Have `listener` called on the loop after other rules came into force."""
        self._listeners.append(listener)

    async def run(self) -> None:
        """Load what there is, then look for changes, for ever. A service's loop."""
        while not self._started():
            await self._clock.sleep(WAIT_S)
        await self.reload()
        while True:
            await self._clock.sleep(LOOK_S)
            if await asyncio.to_thread(self._files.stamp) != self._stamp:
                await self.reload()

    async def reload(self) -> RulesLoaded:
        """Read everything anew, and say what is in force now."""
        async with self._turn:
            before = self.book
            book = await asyncio.to_thread(self._read)
            self.book = book
        if book != before:
            self._tell(before, book)
        for listener in self._listeners:
            listener()
        return self.loaded()

    def loaded(self) -> RulesLoaded:
        """What is in force."""
        book = self.book
        return RulesLoaded(
            groups=len(book.groups),
            rules=sum(len(group.rules) for group in book.groups),
            files=book.files,
            warnings=(
                *(
                    f"{file} is not in force as it stands: {why}"
                    for file, why in book.faults
                ),
                *book.warnings,
            ),
        )

    # -- in a thread -----------------------------------------------------------

    def _read(self) -> Book:
        from nexa_node.core.alerting.rules import RuleError, load
        from nexa_node.core.alerting.ruling import parts, unreachable

        self._stamp = self._files.stamp()
        try:
            told = {BUILTIN: (self._builtin(), "")}
        except (OSError, ImportError) as error:
            told = {BUILTIN: ("", f"it can't be read: {error}")}
        told |= {file.name: (file.text, file.error) for file in self._files.read()}
        faults: list[tuple[str, str]] = []
        for name, (text, error) in told.items():
            try:
                if error:
                    raise RuleError(error, file=name, line=0)
                self._good[name] = load(text, file=name)
            except RuleError as wrong:
                faults.append((name, str(wrong)))
        for gone in self._good.keys() - told.keys():
            del self._good[gone]
        groups = tuple(group for name in told for group in self._good.get(name, ()))
        return Book(
            groups=groups,
            parts=parts(groups),
            files=tuple(told),
            faults=tuple(faults[:FAULTS_KEPT]),
            warnings=tuple(unreachable(groups)),
        )

    # -- telling ---------------------------------------------------------------

    def _tell(self, before: Book, after: Book) -> None:
        for file, why in after.faults:
            if (file, why) not in before.faults:
                self._journal.record(
                    "rules.refused",
                    subject=f"node/{self._node}",
                    message=f"{why}; what {file} said before stays in force",
                    severity="warning",
                    data={"file": file},
                )
        loaded = self.loaded()
        if after.groups != before.groups:
            self._journal.record(
                "rules.loaded",
                subject=f"node/{self._node}",
                message=f"{loaded.rules} rules in {loaded.groups} groups are in force",
                data={"files": list(after.files)},
            )
