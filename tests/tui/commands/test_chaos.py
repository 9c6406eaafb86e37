"""`nexa chaos` finds demos and nothing else, and says before it strikes what that hits."""

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import psutil
import pytest

from nexa_node.contract.errors import Conflict, Invalid, NotFound
from nexa_node.contract.ids import NodeId
from nexa_node.contract.nodes import NodeFile
from nexa_tui.commands import chaos
from nexa_tui.commands.output import Call
from tests.tui import clusters
from tests.tui.served import Port, port

SLEEP = "import sys; sys.stdin.read()"
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def served() -> Iterator[Port]:
    with port() as made:
        made.answers["GET /v1/cluster"] = clusters.THREE
        yield made


@pytest.fixture
def start(tmp_path: Path, served: Port) -> Iterator[Start]:
    """Announce a process as a node of a folder, with an environment."""
    with ExitStack() as stack:

        def begin(
            home: Path, name: str = "alpha", **environ: str
        ) -> subprocess.Popen[bytes]:
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", SLEEP],
                    stdin=subprocess.PIPE,
                    env={"PATH": os.defpath, **environ},
                )
            )
            stack.callback(process.kill)
            folder = home / "state" / "node" / name
            folder.mkdir(parents=True)
            (folder / "admin.token").write_text("t")
            (folder / "admin.token").chmod(0o600)
            file = NodeFile(
                id=NodeId(name),
                name=name,
                cluster="demo",
                state="running",
                url=served.url,
                pid=process.pid,
                pid_started=psutil.Process(process.pid).create_time(),
                version="1",
                started=datetime.now(UTC),
                console_protocol=1,
            )
            (folder / "node.json").write_bytes(msgspec.json.encode(file))
            return process

        yield begin


def environ(tmp_path: Path) -> dict[str, str]:
    return {"TMPDIR": str(tmp_path), "TERM": "dumb"}


def demo(start: Start, home: Path, name: str = "alpha") -> subprocess.Popen[bytes]:
    return start(home, name, NEXA_HOME=str(home), NEXA_DEMO="1")


def said(tmp_path: Path, *words: str) -> str:
    out = io.StringIO()
    call = Call(environ=environ(tmp_path), out=out, err=io.StringIO())
    assert chaos.run(list(words), call) == 0
    return out.getvalue()


def test_without_a_demo_nothing_is_touched(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no demo runs") as refused:
        said(tmp_path)
    assert refused.value.remedy == "nexa demo --nodes 3"


@pytest.mark.parametrize(
    "lacking",
    [
        {"NEXA_DEMO": "1"},
        {"NEXA_HOME": "{home}"},
        {"NEXA_HOME": "{home}", "NEXA_DEMO": "0"},
        {"NEXA_HOME": "/somewhere/else", "NEXA_DEMO": "1"},
        {},
    ],
)
def test_a_node_whose_process_is_not_a_demos_is_not_found(
    tmp_path: Path, start: Start, lacking: dict[str, str]
) -> None:
    home = tmp_path / "nexa-demo-x"
    start(home, **{key: text.format(home=home) for key, text in lacking.items()})

    with pytest.raises(NotFound, match="no demo runs"):
        said(tmp_path, "kill", "alpha", "--anyway")


def test_a_demos_process_in_a_folder_of_another_name_is_not_found(
    tmp_path: Path, start: Start
) -> None:
    demo(start, tmp_path / "production")

    with pytest.raises(NotFound, match="no demo runs"):
        said(tmp_path, "kill", "alpha", "--anyway")


def test_a_link_to_another_folder_is_not_followed(tmp_path: Path, start: Start) -> None:
    demo(start, tmp_path / "production")
    (tmp_path / "nexa-demo-x").symlink_to(tmp_path / "production")

    with pytest.raises(NotFound, match="no demo runs"):
        said(tmp_path)


def test_what_is_named_must_be_a_demo_too(tmp_path: Path, start: Start) -> None:
    demo(start, tmp_path / "nexa-demo-x")
    demo(start, tmp_path / "production")

    with pytest.raises(NotFound, match="no folder of a demo"):
        said(tmp_path, "--demo", str(tmp_path / "production"))


def test_of_several_demos_one_must_be_named(tmp_path: Path, start: Start) -> None:
    demo(start, tmp_path / "nexa-demo-x")
    demo(start, tmp_path / "nexa-demo-y", "beta")

    with pytest.raises(Conflict, match="2 demos run"):
        said(tmp_path)
    assert "beta" in said(tmp_path, "--demo", str(tmp_path / "nexa-demo-y"))


def test_without_a_fault_it_is_told_what_each_loss_would_hit(
    tmp_path: Path, start: Start
) -> None:
    running = demo(start, tmp_path / "nexa-demo-x")

    [told] = msgspec.json.decode(said(tmp_path, "--json"))

    assert (told["node"], told["pid"], told["breaks"]) == ("alpha", running.pid, False)
    assert told["hits"]
    assert "alpha" in said(tmp_path)


def test_a_stopped_node_goes_on_and_it_is_said(tmp_path: Path, start: Start) -> None:
    running = demo(start, tmp_path / "nexa-demo-x")

    lines = said(tmp_path, "stop", "alpha", "--down", "0.05").splitlines()

    assert "stop alpha: " in lines[0]
    assert "healed alpha: after 0." in lines[1]
    assert psutil.Process(running.pid).status() != psutil.STATUS_STOPPED


def test_where_writes_would_stop_nothing_is_done_unless_it_is_said(
    tmp_path: Path, start: Start, served: Port
) -> None:
    demo(start, tmp_path / "nexa-demo-x")
    quorum = msgspec.structs.replace(clusters.THREE.quorum, have=2)
    served.answers["GET /v1/cluster"] = msgspec.structs.replace(
        clusters.THREE, quorum=quorum
    )

    with pytest.raises(Conflict, match="nothing could be written") as refused:
        said(tmp_path, "stop", "alpha")
    assert "--anyway" in str(refused.value.remedy)
    assert "healed" in said(tmp_path, "stop", "alpha", "--down", "0", "--anyway")


def test_the_same_seed_is_the_same_chaos(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo(start, tmp_path / "nexa-demo-x")
    done: list[tuple[str, str]] = []
    acts = {
        fault: lambda _demo, node, _options, fault=fault: done.append(
            (fault, node.name)
        )
        for fault in chaos.FAULTS
    }
    monkeypatch.setattr(chaos, "_ACTS", acts)
    monkeypatch.setattr(chaos, "REST_S", (0.0, 0.05))

    for _ in range(2):
        said(tmp_path, "--random", "--seconds", "0.4", "--seed", "7")
        done.append(("", ""))

    first, second = done[: done.index(("", ""))], done[done.index(("", "")) + 1 : -1]
    shorter = min(len(first), len(second))
    assert shorter >= 2
    assert first[:shorter] == second[:shorter]


@pytest.mark.parametrize(
    ("words", "error", "match"),
    [
        (("kill",), Invalid, "say which node: alpha"),
        (("kill", "omega"), NotFound, "no running node omega"),
        (("kill", "alpha", "--random"), Invalid, "either"),
        (("explode", "alpha"), Invalid, "invalid choice"),
    ],
)
def test_what_makes_no_sense_is_refused(
    tmp_path: Path,
    start: Start,
    words: tuple[str, ...],
    error: type[Exception],
    match: str,
) -> None:
    demo(start, tmp_path / "nexa-demo-x")

    with pytest.raises(error, match=match):
        said(tmp_path, *words)


def test_nobody_to_ask_counts_as_the_worst(
    tmp_path: Path, start: Start, served: Port
) -> None:
    demo(start, tmp_path / "nexa-demo-x")
    served.answers["GET /v1/cluster"] = NotFound("no such thing")

    [told] = msgspec.json.decode(said(tmp_path, "--json"))

    assert told["breaks"] is True
