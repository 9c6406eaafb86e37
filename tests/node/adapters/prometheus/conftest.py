"""Debian's Alertmanager and Prometheus, running on loopback."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import pytest

from nexa_node.adapters.prometheus.asking import Api
from nexa_node.wiring.outgoing import Outgoing
from tests.node.adapters.probes.servers import folder_of, program, started
from tests.sinks import HttpSink, http_sink

T = TypeVar("T")

CONFIG = """
route:
  receiver: ops
  group_by: [alertname]
  group_wait: 100ms
  group_interval: 1s
  repeat_interval: 1h
  routes:
    - receiver: ops
      matchers: ['severity="critical"', 'team=~"a|b"']
receivers:
  - name: ops
    webhook_configs:
      - url: {url}
"""


@dataclass(frozen=True)
class Server:
    url: str
    outgoing: Outgoing

    def api(self, name: str = "Alertmanager") -> Api:
        client = self.outgoing.client(ca_file="", timeout_s=10, proxies=False)
        return Api(client=client, base=self.url, name=name)


@pytest.fixture
async def outgoing() -> AsyncIterator[Outgoing]:
    made = Outgoing()
    yield made
    for client in made._open:
        await client.aclose()


@pytest.fixture
async def sink() -> AsyncIterator[HttpSink]:
    async with http_sink() as made:
        yield made


@contextmanager
def an_alertmanager(config: str) -> Iterator[str]:
    binary = program("prometheus-alertmanager", package="prometheus-alertmanager")
    with folder_of(None) as folder:
        (folder / "alertmanager.yml").write_text(config)

        def command(port: int) -> list[str]:
            return [
                binary,
                f"--config.file={folder / 'alertmanager.yml'}",
                f"--storage.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--cluster.listen-address=",
            ]

        with started(command, folder=folder, ready="Listening on") as port:
            yield f"http://127.0.0.1:{port}"


@contextmanager
def a_prometheus(rules: str, alertmanager: str | None = None) -> Iterator[str]:
    binary = program("prometheus", package="prometheus")
    with folder_of(None) as folder:
        (folder / "rules.yml").write_text(rules)
        lines = [
            "global: {evaluation_interval: 1s, scrape_interval: 1s}",
            f"rule_files: ['{folder / 'rules.yml'}']",
        ]
        if alertmanager:
            target = alertmanager.removeprefix("http://")
            lines.append(
                f"alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{target}']}}]}}]}}"
            )
        (folder / "prometheus.yml").write_text("\n".join(lines))

        def command(port: int) -> list[str]:
            return [
                binary,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                "--rules.alert.resend-delay=1s",
                f"--web.listen-address=127.0.0.1:{port}",
            ]

        ready = "Server is ready to receive web requests"
        with started(command, folder=folder, ready=ready) as port:
            yield f"http://127.0.0.1:{port}"


@pytest.fixture
async def alertmanager(sink: HttpSink, outgoing: Outgoing) -> AsyncIterator[Server]:
    with an_alertmanager(CONFIG.format(url=sink.url)) as url:
        yield Server(url, outgoing)


async def until(look: Callable[[], Awaitable[T]], seconds: float = 20.0) -> T:
    """Ask until the answer is something."""
    async with asyncio.timeout(seconds):
        while not (found := await look()):
            await asyncio.sleep(0.05)
        return found
