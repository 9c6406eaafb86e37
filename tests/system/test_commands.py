"""Commands against a real node: fields, tables, exit codes, errors of one line."""

import tomllib
from pathlib import Path

import pytest

from nexa_tui.commands.table import BY_NAME, COMMANDS
from tests.system.conftest import Shell, environment


def test_status_tells_the_contracts_fields(shared: Shell) -> None:
    told = shared("node", "status", "--json").json()

    fields = {"id", "name", "state", "url", "pid", "version", "started", "cluster"}
    assert fields <= set(told)
    assert told["state"] == "running"


def test_cluster_status_tells_the_contracts_fields(shared: Shell) -> None:
    told = shared("cluster", "status", "--json").json()

    fields = {"name", "verdict", "reasons", "controller", "quorum", "nodes"}
    assert fields <= set(told)
    node = {"id", "name", "url", "state", "health", "role", "agents", "rtt_ms"}
    assert node <= set(told["nodes"][0])


def test_a_submitted_task_is_listed_explained_and_cancelled(shared: Shell) -> None:
    made = shared("task", "submit", "nobody", "--data", '{"a": 1}', "--json").json()
    why = shared("task", "explain", made["id"])
    listed = shared("task", "list", "--type", "nobody")
    cancelled = shared("task", "cancel", made["id"], "--json").json()

    assert (made["status"], made["duplicate"]) == ("pending", False)
    assert "waits" in why.out
    assert made["id"] in listed.out
    assert cancelled["status"] == "cancelled"


def test_the_same_idempotency_key_is_one_task(shared: Shell) -> None:
    words = ("task", "submit", "nobody", "--idempotency-key", "k-1", "--json")
    first, second = shared(*words).json(), shared(*words).json()

    assert first["id"] == second["id"]
    assert (first["duplicate"], second["duplicate"]) == (False, True)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("task", "show", "nothing-there"), 5, "nothing-there"),
        (("agents", "show", "nobody"), 5, "nobody"),
        (("task", "submit", "Bad Type!"), 1, "Bad Type!"),
        (("task", "submit", "x", "--data", "{"), 1, "JSON"),
        (("task", "submit", "x", "--data", "@/nowhere"), 1, "/nowhere"),
        (("task", "submti", "x"), 2, "task submit"),
        (("tsk",), 2, "nexa task"),
        (("task", "submit"), 2, "type"),
        (("task", "submit", "x", "--label", "novalue"), 1, "label"),
        (("agent",), 2, "run"),
        (("context", "use", "nope"), 5, "nope"),
        (("demo", "--nodes", "12"), 1, "1 to 9 nodes"),
        (("demo", "--nodes", "2", "--scenario", "failover"), 1, "none may be lost"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_errors_are_one_line_with_a_remedy(
    shared: Shell, words: tuple[str, ...], code: int, says: str
) -> None:
    said = shared(*words)

    assert said.code == code
    assert says in said.err
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.err


def test_without_a_node_the_exit_code_is_3(tmp_path: Path) -> None:
    said = Shell(environment(tmp_path))("task", "list")

    assert (said.code, "nexa node start" in said.err) == (3, True)


def test_a_wrong_token_is_exit_code_4(shared: Shell) -> None:
    stranger = Shell({**shared.environ, "NEXA_TOKEN": "nxa_wrong"})

    said = stranger("task", "list")

    assert said.code == 4
    assert "token" in said.err


def test_an_expired_token_says_so(shared: Shell) -> None:
    made = shared(
        "token", "create", "--role", "viewer", "--expires", "1s", "--json"
    ).json()
    late = Shell({**shared.environ, "NEXA_TOKEN": made["token"]})
    from tests.system.conftest import until

    said = until(
        lambda: (answer := late("node", "status")).code == 4 and answer, "it ends"
    )

    assert "expired" in said.err


def test_a_viewer_may_look_and_not_touch(shared: Shell) -> None:
    made = shared(
        "token", "create", "--role", "viewer", "--name", "eve", "--json"
    ).json()
    viewer = Shell({**shared.environ, "NEXA_TOKEN": made["token"]})

    assert viewer("task", "list").code == 0
    assert viewer("task", "submit", "x").code == 4
    assert shared("token", "revoke", made["id"]).code == 0
    assert viewer("task", "list").code == 4
    assert made["token"] not in shared("token", "list").out


def test_a_message_is_stored_for_an_agent_that_is_away(shared: Shell) -> None:
    first = shared("send", "away-1", "hello", "--data", '"hi"', "--id", "m-1", "--json")
    second = shared(
        "send", "away-1", "hello", "--data", '"hi"', "--id", "m-1", "--json"
    )

    assert first.json()["duplicate"] is False
    assert second.json()["duplicate"] is True


def test_the_selftest_passes_on_a_running_node(shared: Shell) -> None:
    told = shared("selftest", "--json").json()

    assert {"status", "started", "duration_ms", "checks"} <= set(told)
    fields = {
        "id",
        "group",
        "title",
        "status",
        "duration_ms",
        "detail",
        "cause",
        "remedy",
    }
    assert all(fields <= set(check) for check in told["checks"])
    failed = [check for check in told["checks"] if check["status"] == "fail"]
    assert failed == []


def test_one_check_can_be_run_alone(shared: Shell) -> None:
    told = shared("selftest", "--only", "node.store", "--json").json()

    assert [check["id"] for check in told["checks"]] == ["node.store"]
    assert told["status"] == "pass"


def test_the_selftest_prints_cause_and_remedy_without_a_node(shell: Shell) -> None:
    said = shell("selftest")

    assert said.code in {0, 1}
    assert "machine" in said.out
    assert "node" in said.out
    assert shell("logs", "--startup").code == 0


def test_the_startup_log_keeps_every_run(shared: Shell) -> None:
    shared("selftest", "--json")
    said = shared("logs", "--startup")
    as_json = shared("logs", "--startup", "--json")

    assert "selftest" in said.out
    assert len(as_json.out.splitlines()) > 5


@pytest.mark.parametrize(
    "words",
    [
        ("events",), ("events", "--json"), ("events", "--kind", "node."), ("logs",),
        ("logs", "--json"), ("metrics",), ("metrics", "nexa_", "--json"), ("agents",),
        ("agents", "--json"), ("token", "list"), ("context", "list"), ("version",),
        ("version", "--json"), ("themes",), ("doctor",), ("console", "--plain"), ("console",),
        ("node",), ("node", "start"), ("cluster",), ("task", "list"), ("--help",),
        ("context", "list", "--json"), ("token", "list", "--json"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_it_answers_without_an_escape(shared: Shell, words: tuple[str, ...]) -> None:
    said = shared(*words)

    assert said.code == 0, said.out[-3000:]
    assert said.out + said.err
    assert "\x1b" not in said.out + said.err


@pytest.mark.parametrize(
    "name", [one.name for one in COMMANDS if one.name != "console"]
)
def test_every_command_has_help(
    shared: Shell, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    command = BY_NAME[name]
    words = [name, *command.verbs[:1], "--help"]
    if name in {"agent", "config"} or (name, command.verbs[:1]) == ("node", ("run",)):
        said = shared.program(*words)
        assert said.returncode == 0
        assert "usage" in said.stdout
        return

    assert shared(*words).code == 0
    assert "usage" in capfd.readouterr().out


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_completion_knows_every_command(shared: Shell, name: str) -> None:
    said = shared("completion", name)

    assert all(command.name in said.out for command in COMMANDS)


def test_a_login_is_kept_and_used(
    shared: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    url = shared("node", "status", "--json").json()["url"]
    token = shared("token", "create", "--role", "operator", "--json").json()["token"]
    elsewhere = Shell(environment(tmp_path))
    monkeypatch.setattr("sys.stdin", io.StringIO(token + "\n"))

    said = elsewhere("login", url, "--name", "prod", "--production")

    assert said.code == 0
    assert elsewhere("task", "list").code == 0
    assert "production" in elsewhere("context", "list").out
    assert token not in (tmp_path / "config" / "contexts.toml").read_text()
    assert tomllib.loads((tmp_path / "config" / "contexts.toml").read_text())
    assert elsewhere("context", "remove", "prod").code == 0
    assert elsewhere("task", "list").code == 3


@pytest.mark.parametrize("verb", ["show", "path", "validate"])
def test_the_settings_are_told(shared: Shell, verb: str) -> None:
    said = shared.program("config", verb)

    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout
