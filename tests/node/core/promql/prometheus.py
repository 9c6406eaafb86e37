"""Debian's Prometheus 2.42 with samples of ours: the truth that answers are held against."""

import contextlib
import json
import math
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nexa_node.core.promql.aggregating import written
from nexa_node.core.promql.samples import Matcher, Series, meets
from tests import debian

START_S = 1_760_000_400
"""When the samples begin; a whole number of minutes."""


@dataclass(frozen=True)
class Samples:
    """A `samples.Source` in memory, and as OpenMetrics."""

    series: tuple[Series, ...]

    def select(
        self, matchers: Sequence[Matcher], start_ms: int, end_ms: int
    ) -> list[Series]:
        return [
            Series(one.labels, one.times[inside], one.values[inside])
            for one in self.series
            if meets(one.labels, matchers)
            for inside in [(one.times >= start_ms) & (one.times <= end_ms)]
        ]

    def openmetrics(self) -> str:
        lines: list[str] = []
        names = sorted({one.labels["__name__"] for one in self.series})
        for name in names:
            lines.append(f"# TYPE {name} unknown")
            for one in self.series:
                if one.labels["__name__"] != name:
                    continue
                shown = ",".join(
                    f'{label}="{text}"'
                    for label, text in one.labels.items()
                    if label != "__name__"
                )
                for at, value in zip(one.times, one.values, strict=True):
                    number = written(float(value))
                    lines.append(f"{name}{{{shown}}} {number} {at / 1000:.3f}")
        return "\n".join([*lines, "# EOF", ""])


def series(
    name: str, labels: Mapping[str, str], times_s: Sequence[float], values: Any
) -> Series:
    times = np.asarray([round((START_S + at) * 1000) for at in times_s], np.int64)
    return Series({"__name__": name, **labels}, times, np.asarray(values, np.float64))


@dataclass(frozen=True)
class Prometheus:
    url: str

    def ask(self, path: str, **query: Any) -> Any:
        """Its answer's `data`; a string if it refuses."""
        address = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(address, timeout=20) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            return str(json.load(error)["error"])


def installed() -> bool:
    return shutil.which("prometheus") is not None or debian.install("prometheus")


@contextlib.contextmanager
def prometheus(folder: Path, samples: Samples) -> Iterator[Prometheus]:
    """Start one on `samples`; gone afterwards."""
    text, data = folder / "samples.om", folder / "data"
    text.write_text(samples.openmetrics())
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", text, data],
        check=True,
        capture_output=True,
    )
    config = folder / "prometheus.yml"
    config.write_text("global:\n  evaluation_interval: 1h\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={data}",
            "--storage.tsdb.retention.time=20y",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 30
        while True:
            assert process.poll() is None, "prometheus ended at once"
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"{url}/-/ready", timeout=2),
            ):
                break
            assert time.monotonic() < deadline, "prometheus is not ready"
            time.sleep(0.05)
        yield Prometheus(url)
    finally:
        process.kill()
        process.wait()


def number(text: str) -> float:
    return float(text.replace("Inf", "inf"))


def same(mine: float, theirs: float) -> bool:
    """Equal but for rounding: sums are added up in another order here."""
    if math.isnan(mine) or math.isnan(theirs):
        return math.isnan(mine) and math.isnan(theirs)
    return math.isclose(mine, theirs, rel_tol=1e-9, abs_tol=1e-9)
