"""The examples, as programs of their own against a real node."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.system.conftest import Shell, end, until

EXAMPLES = Path(__file__).parents[2] / "examples"
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def token(shared: Shell, tmp_path_factory: pytest.TempPathFactory) -> Path:
    told = shared("token", "create", "--role", "agent", "--json").json()
    path = tmp_path_factory.mktemp("token") / "agent.token"
    path.touch(mode=0o600)
    path.write_text(told["token"])
    return path


@pytest.fixture
def start(shared: Shell, token: Path) -> Iterator[Start]:
    url = shared("node", "status", "--json").json()["url"]
    environ = {**shared.environ, "NEXA_TOKEN_FILE": str(token), "NEXA_URL": url}
    running: list[subprocess.Popen[str]] = []

    def begin(name: str, *words: str) -> "subprocess.Popen[str]":
        program = subprocess.Popen(
            [sys.executable, str(EXAMPLES / name), *words],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        running.append(program)
        return program

    yield begin
    for program in running:
        end(program)


def submit(shell: Shell, type: str, data: Any) -> dict[str, Any]:
    """Submit a task and wait; the whole record."""
    words = ("task", "submit", type, "--data", json.dumps(data), "--wait", "--json")
    return shell(*words, "--timeout", "20").json()


class Completions(BaseHTTPRequestHandler):
    """What an LLM server does: a few tokens, one after the other, then the usage."""

    asked: list[dict[str, Any]] = []  # noqa: RUF012  # shared by all requests

    def do_POST(self) -> None:
        size = int(self.headers["content-length"])
        request = json.loads(self.rfile.read(size))
        self.asked.append({"path": self.path, **request})
        if request["messages"][-1]["content"] == "nonsense":
            self.send_error(400, "no such prompt")
            return
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for word in ("the ", "sky ", "is ", "blue ") * 5:
            self._chunk({"choices": [{"delta": {"content": word}}]})
        usage = {"prompt_tokens": 7, "completion_tokens": 20}
        self._chunk({"choices": [], "usage": usage})
        self.wfile.write(b"data: [DONE]\n\n")

    def _chunk(self, told: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(told)}\n\n".encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def llm() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Completions)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_language_model_answers_and_its_tokens_are_recorded(
    shared: Shell, start: Start, llm: str
) -> None:
    start("llm_agent.py", "--url", llm, "--model", "tiny")
    until(lambda: shared.connected("llm-1"), "the agent joins")

    task = submit(shared, "chat", "why is the sky blue?")
    refused = submit(shared, "chat", "nonsense")

    assert task["status"] == "completed"
    assert task["result"] == "the sky is blue " * 5
    assert (task["usage"]["input_tokens"], task["usage"]["output_tokens"]) == (7, 20)
    assert task["usage"]["model"] == "tiny"
    asked = Completions.asked[0]
    assert (asked["path"], asked["model"]) == ("/v1/chat/completions", "tiny")
    assert refused["status"] == "failed"
    assert "HTTP 400" in refused["error"]


def test_a_model_that_is_not_there_is_tried_again(shared: Shell, start: Start) -> None:
    start("llm_agent.py", "--url", "http://127.0.0.1:9/v1", "--id", "llm-2")
    until(lambda: shared.connected("llm-2"), "the agent joins")
    words = ("task", "submit", "chat", "--data", '"x"', "--max-attempts", "1")

    task = shared(*words, "--wait", "--json", "--timeout", "20").json()

    assert task["status"] == "dead_lettered"
    assert "does not answer" in task["error"]


def test_three_agents_make_one_report(shared: Shell, start: Start) -> None:
    program = start("pipeline.py")
    for each in ("split", "count", "report"):
        name = f"pipeline-{each}"
        until(lambda name=name: shared.connected(name), f"{name} joins")

    task = submit(shared, "report", "one two\n" * 120)
    listed = shared("tail", "pipeline.>", "--json").out.splitlines()

    assert task["status"] == "completed", task
    assert task["result"] == {"parts": 3, "words": 240, "longest": 3}
    assert [json.loads(each)["data"]["part"] for each in listed] == [1, 2, 3]
    program.send_signal(signal.SIGTERM)
    assert program.wait(15) == 0


def test_only_allowed_programs_are_run(shared: Shell, start: Start) -> None:
    start("shell_agent.py", "--allow", "echo", "--allow", "sleep")
    until(lambda: shared.connected("shell-1"), "the agent joins")

    done = submit(shared, "shell", ["echo", "$HOME; ls"])
    refused = submit(shared, "shell", ["sh", "-c", "echo no"])

    assert done["result"] == {"exit": 0, "output": "$HOME; ls\n"}
    assert refused["status"] == "failed"
    assert "not allowed here" in refused["error"]


def test_a_cancelled_task_takes_its_program_with_it(
    shared: Shell, start: Start, tmp_path: Path
) -> None:
    start("shell_agent.py", "--allow", "sh", "--id", "shell-2")
    until(lambda: shared.connected("shell-2"), "the agent joins")
    note = tmp_path / "pid"
    command = ["sh", "-c", f"echo $$ > {note}; exec sleep 60"]
    submitted = shared(
        "task", "submit", "shell", "--data", json.dumps(command), "--json"
    )
    pid = until(lambda: note.exists() and note.read_text().strip(), "it runs")

    shared("task", "cancel", submitted.json()["id"])

    until(lambda: not Path(f"/proc/{pid}").exists(), "its program is gone")


def test_a_script_gives_out_work_and_gathers_it(
    shared: Shell, start: Start, tmp_path: Path
) -> None:
    start("pipeline.py", "--prefix", "helper")
    until(lambda: shared.connected("helper-count"), "the agent joins")
    text = tmp_path / "text"
    text.write_text("a b c")

    script = start("script.py", str(text))
    said, _ = script.communicate(timeout=20)

    assert f"{text} completed" in said
    assert "'words': 3" in said
    assert os.path.exists(text)  # noqa: PTH110  # nothing was taken away
