"""Files of certificates that change: read anew, told, and never taken if they are broken."""

import asyncio
from datetime import UTC, datetime

from nexa_node.contract.errors import Invalid
from nexa_node.services.cluster.reload import LOOK_S, Reload
from tests.fakes import FakeClock, RecordingJournal, settle

ENDS = datetime(2030, 1, 2, tzinfo=UTC)


class Files:
    """What is found at each look, in turn."""

    def __init__(self, *found: bool | Invalid) -> None:
        self.found = list(found)

    def look(self) -> bool:
        now = self.found.pop(0) if self.found else False
        if isinstance(now, Invalid):
            raise now
        return now


def reload_of(files: Files, journal: RecordingJournal) -> Reload:
    return Reload(
        files, clock=FakeClock(), journal=journal, node="alpha", ends=lambda: ENDS
    )


async def test_a_change_is_told_once_and_a_broken_one_with_its_remedy() -> None:
    journal = RecordingJournal()
    broken = Invalid("a.pem holds no certificate", remedy="openssl x509 -in a.pem")
    look = reload_of(Files(False, True, broken, False), journal).look

    for _ in range(4):
        await look()

    told = [(one.kind, one.severity, one.message) for one in journal.records]
    assert [one[:2] for one in told] == [
        ("certificate.shown", "info"),
        ("certificate.failed", "warning"),
    ]
    assert "another certificate now, until 2030-01-02" in told[0][2]
    assert "the certificate before on: a.pem holds no" in told[1][2]
    assert "openssl x509 -in a.pem" in told[1][2]


async def test_it_is_looked_every_second() -> None:

    journal, clock = RecordingJournal(), FakeClock()
    files = Files(True, True)
    reload = Reload(
        files, clock=clock, journal=journal, node="alpha", ends=lambda: ENDS
    )
    running = asyncio.create_task(reload.run())
    await settle()
    for _ in range(2):
        await clock.advance(LOOK_S)
        while len(journal.records) < 1:
            await asyncio.sleep(0.001)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert len(files.found) <= 1
