"""Processes that a run starts beside nodes: clients, and starters of nodes."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[3]
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def unproxied(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment whose clients go straight to the nodes."""
    return {key: text for key, text in environ.items() if key.lower() not in _PROXIES}


@dataclass
class Starting:
    """`nexa node start`, under way."""

    process: "subprocess.Popen[str]"

    def wait(self, seconds: float) -> str:
        """Wait until the node is there; why it isn't."""
        try:
            said, _ = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            said, _ = self.process.communicate()
            return f"not within {seconds} s: {said}"
        return said.strip() if self.process.returncode else ""


@dataclass
class Program:
    """A client's process, as often as it is started."""

    command: tuple[list[str], dict[str, str]]
    """Its words and its environment."""
    role: str
    name: str
    folder: Path
    is_down: bool = False
    """Because somebody killed it."""
    process: "subprocess.Popen[bytes]" = field(init=False)

    def start(self) -> None:
        words, environ = self.command
        with self._errors.open("ab") as errors:
            self.process = subprocess.Popen(
                words,
                env=environ,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
            )
        self.is_down = False

    def kill(self) -> None:
        self.is_down = True
        self.process.kill()
        self.process.wait()

    def why(self) -> str:
        """The last that it said before it ended."""
        return self._errors.read_text(errors="replace")[-800:]

    @property
    def _errors(self) -> Path:
        return self.folder / f"{self.name}.err"
