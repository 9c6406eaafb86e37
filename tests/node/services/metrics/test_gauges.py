"""What is read beside the loop, and what is told before there is anything."""

from nexa_node.core.exposition import Counter
from nexa_node.ports import HostFigures
from nexa_node.services.metrics.gauges import HostReader, of_logs
from tests.fakes import FakeClock
from tests.node.services.metrics.moving import host


class Machine:
    def figures(self) -> HostFigures:
        return host()


async def test_nothing_is_told_of_a_machine_that_was_not_looked_at() -> None:
    it = HostReader(Machine(), FakeClock())
    assert not list(it.read())

    await it.look()

    assert "nexa_node_load1" in {one.name for one in it.read()}


def test_many_loggers_are_counted_together() -> None:
    records = {("info", f"nexa_node.{number}"): 1 for number in range(300)}
    records["info", "uvicorn.error"] = 2
    told, lost = of_logs(records, 3)

    assert isinstance(told, Counter)
    assert len(told.samples) < 120
    assert sum(one.value for one in told.samples) == 302
    assert isinstance(lost, Counter)
    assert lost.samples[0].value == 3
