"""Debian's Prometheus beside real nodes: scraping them, and asking like promtool does."""

import contextlib
import json
import shutil
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nexa_tui.client.discovery import Target
from tests import debian
from tests.system.conftest import until


def installed() -> bool:
    return shutil.which("prometheus") is not None or debian.install("prometheus")


def promtool(*words: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["promtool", *words],
        input=text,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def with_token(node: Target) -> str:
    """The node's address for promtool, whose only way to a token is the password."""
    return f"http://any:{node.token}@{urlsplit(node.url).netloc}"


@dataclass(frozen=True)
class Api:
    """Prometheus' HTTP API, of whoever has it."""

    url: str
    token: str | None = None

    def __call__(self, path: str, **query: Any) -> Any:
        address = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        asked = urllib.request.Request(address, headers=headers)
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return json.load(answer)["data"]

    def values(self, text: str) -> dict[str, float]:
        """A query's values by instance."""
        found = self("query", query=text)["result"]
        return {
            one["metric"].get("instance", ""): float(one["value"][1]) for one in found
        }


@contextlib.contextmanager
def scraping(folder: Path, node: Target) -> Iterator[Api]:
    """A Prometheus that finds all nodes by asking one of them, and scrapes them."""
    token = folder / "token"
    token.write_text(node.token or "")
    # The type is written out: service discovery of 2.42 has no default for it.
    bearer = f"authorization: {{ type: Bearer, credentials_file: {token} }}"
    config = folder / "prometheus.yml"
    config.write_text(
        f"""
global: {{ scrape_interval: 1s }}
scrape_configs:
  - job_name: nexa
    {bearer}
    http_sd_configs:
      - url: {node.url}/v1/prometheus/targets
        refresh_interval: 1s
        {bearer}
"""
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        api = Api(f"http://127.0.0.1:{port}")
        until(lambda: _answers(api), "prometheus is ready")
        yield api
    finally:
        process.kill()
        process.wait()


def _answers(api: Api) -> bool:
    with contextlib.suppress(OSError):
        return bool(api("status/buildinfo"))
    return False
