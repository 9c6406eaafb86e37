import asyncio
from datetime import timedelta

from nexa_node.contract.errors import NexaError, Unavailable
from nexa_node.core.certificates import NODE_LIFE, Life, new_life
from nexa_node.services.cluster.renewal import RETRY_S, Renewal
from tests.fakes import FakeClock, RecordingJournal, settle

DAY_S = 24 * 3600


class Certificate:
    """One that lives by the test's clock."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.now = new_life(clock.now(), NODE_LIFE)
        self.fails: NexaError | None = None
        self.used: list[Life] = []
        self.unreadable: list[NexaError] = []

    async def renew_own(self) -> bool:
        if self.fails:
            raise self.fails
        if not self.now.is_due(self.clock.now()):
            return False
        self.now = new_life(self.clock.now(), NODE_LIFE)
        return True

    async def life(self) -> Life:
        return self.now

    async def read_anew(self) -> None:
        if self.unreadable:
            raise self.unreadable.pop()
        self.used.append(self.now)


async def test_a_certificate_is_renewed_in_time_and_read_anew_for_years() -> None:
    clock, journal = FakeClock(), RecordingJournal()
    certificate = Certificate(clock)
    renewal = Renewal(
        certificate, clock=clock, journal=journal, node="alpha",
        on_renewed=certificate.read_anew,
    )  # fmt: skip
    running = asyncio.ensure_future(renewal.run())
    for _ in range(200):
        await clock.advance(DAY_S)
        assert certificate.now.remaining(clock.now()) > timedelta(days=29)
    running.cancel()

    assert len(certificate.used) == 3
    assert renewal.ends == certificate.now.ends
    assert "was renewed, until 2026-" in journal.last("certificate.renewed").message


async def test_a_renewal_that_fails_is_told_and_tried_again_soon() -> None:
    clock, journal = FakeClock(), RecordingJournal()
    certificate = Certificate(clock)
    renewal = Renewal(
        certificate, clock=clock, journal=journal, node="alpha",
        on_renewed=certificate.read_anew,
    )  # fmt: skip
    clock.jump(61 * DAY_S)
    certificate.fails = Unavailable("the disk is full")
    running = asyncio.ensure_future(renewal.run())
    await settle()
    await clock.advance(3 * RETRY_S)
    certificate.fails = None
    await clock.advance(RETRY_S)
    running.cancel()

    assert "the disk is full" in journal.last("certificate.failed").message
    assert len(certificate.used) == 1


async def test_a_new_certificate_that_could_not_be_read_is_read_soon() -> None:
    clock, journal = FakeClock(), RecordingJournal()
    certificate = Certificate(clock)
    renewal = Renewal(
        certificate, clock=clock, journal=journal, node="alpha",
        on_renewed=certificate.read_anew,
    )  # fmt: skip
    clock.jump(61 * DAY_S)
    certificate.unreadable.append(Unavailable("the server does not answer"))

    assert not await renewal.look()
    assert await renewal.look()
    assert certificate.used == [certificate.now]
