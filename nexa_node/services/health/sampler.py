"""The beat: every interval one sample of the machine and of the node's own figures.

Between beats the event loop's lag is measured: how late a short sleep returns.
"""

from collections.abc import Callable

from nexa_node.contract.nodes import HostSample, TaskCounts
from nexa_node.contract.tasks import FINISHED, Task
from nexa_node.core.policies import SamplePolicy
from nexa_node.core.series import Buckets, Rate, Ring, Window
from nexa_node.ports import Clock, HostProbe

LAG_PROBE_S = 0.25
"""A loop that is held up for longer is noticed; 4 wake-ups a second cost nothing."""
LAG_BOUNDS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
DURATION_BOUNDS_S = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0,
    300.0,
)  # fmt: skip

OUTCOMES = tuple(sorted(FINISHED))

Listener = Callable[[HostSample], None]


class Sampler:
    """Samples, their history, and the counters behind them."""

    def __init__(
        self,
        *,
        probe: HostProbe,
        clock: Clock,
        policy: SamplePolicy,
        counts: Callable[[], TaskCounts],
        agents: Callable[[], int],
        messages: Callable[[], int],
    ) -> None:
        """Take no sample yet.

        Args:
            probe: The machine.
            clock: Samples carry its wall time; rates and lag are by its monotonic one.
            policy: How often, and how many are kept.
            counts: Of tasks, now.
            agents: Connected to this node, now.
            messages: Taken since the start.
        """
        self._probe = probe
        self._clock = clock
        self._policy = policy
        self._counts = counts
        self._agents = agents
        self._messages = messages
        self._history: Ring[HostSample] = Ring(policy.history)
        self._listeners: list[Listener] = []
        self._latencies = Window(60.0)
        self._worst_lag_s = 0.0
        now = clock.monotonic()
        self._completed_rate = Rate(now)
        self._failed_rate = Rate(now)
        self._message_rate = Rate(now)
        self.outcomes: dict[str, int] = dict.fromkeys(OUTCOMES, 0)
        """Tasks that this node saw finish since the start, by status."""
        self.durations = Buckets(DURATION_BOUNDS_S)
        """Submit to result, seconds, of completed tasks."""
        self.lags = Buckets(LAG_BOUNDS_S)
        """The event loop's lag, seconds."""

    def on_sample(self, listener: Listener) -> None:
        """Have `listener` called with each sample."""
        self._listeners.append(listener)

    @property
    def messages(self) -> int:
        """Messages taken from anybody, since the start."""
        return self._messages()

    def on_task_finished(self, task: Task) -> None:
        """Count a task that has just finished, and how long it took.

        Fit for `Ledger.on_write`: a task that goes on is not counted.
        """
        if task.status not in FINISHED:
            return
        self.outcomes[task.status] += 1
        if task.status != "completed" or task.finished is None:
            return
        took_s = max(0.0, (task.finished - task.submitted).total_seconds())
        self.durations.observe(took_s)
        self._latencies.observe(took_s * 1000, self._clock.monotonic())

    def history(self) -> tuple[HostSample, ...]:
        """The samples kept, oldest first."""
        return self._history.items()

    @property
    def newest(self) -> HostSample | None:
        """The last sample; None before the first."""
        return self._history.newest

    async def run(self) -> None:
        """Sample on every beat, for ever. A service's loop."""
        while True:
            self.sample_now()
            await self._listen_for_lag(self._policy.interval_ms / 1000)

    def sample_now(self) -> HostSample:
        """Take one sample, keep it and tell it."""
        now = self._clock.monotonic()
        figures = self._probe.sample()
        counts = self._counts()
        failed = sum(self.outcomes[status] for status in ("failed", "dead_lettered"))
        p50, p99 = self._latencies.quantiles(0.5, 0.99, now=now) or (None, None)
        sample = HostSample(
            time=self._clock.now(),
            cpu=figures["cpu"],
            memory=figures["memory"],
            memory_bytes=int(figures["memory_bytes"]),
            memory_total_bytes=int(figures["memory_total_bytes"]),
            disk=figures["disk"],
            disk_free_bytes=int(figures["disk_free_bytes"]),
            load_1m=figures["load_1m"],
            net_rx_bytes_s=figures["net_rx_bytes_s"],
            net_tx_bytes_s=figures["net_tx_bytes_s"],
            rss_bytes=int(figures["rss_bytes"]),
            loop_lag_ms=self._worst_lag_s * 1000,
            agents=self._agents(),
            tasks_pending=counts.pending,
            tasks_running=counts.assigned + counts.running,
            tasks_completed_s=self._completed_rate.read(
                self.outcomes["completed"], now
            ),
            tasks_failed_s=self._failed_rate.read(failed, now),
            messages_s=self._message_rate.read(self.messages, now),
            task_p50_ms=p50,
            task_p99_ms=p99,
        )
        self._worst_lag_s = 0.0
        self._history.append(sample)
        for listener in self._listeners:
            listener(sample)
        return sample

    async def _listen_for_lag(self, seconds: float) -> None:
        end = self._clock.monotonic() + seconds
        while (left := end - self._clock.monotonic()) > 0:
            asked = min(LAG_PROBE_S, left)
            before = self._clock.monotonic()
            await self._clock.sleep(asked)
            lag = max(0.0, self._clock.monotonic() - before - asked)
            self.lags.observe(lag)
            self._worst_lag_s = max(self._worst_lag_s, lag)
