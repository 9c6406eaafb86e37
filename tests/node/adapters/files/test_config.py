"""Settings: precedence, and errors that name file, line and nearest key."""

import tomllib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from nexa_node.adapters.files.config import ConfigInvalid, load_settings
from nexa_node.adapters.files.config_text import example, listing, settings_told
from nexa_node.settings import Settings


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nexa.toml"


def test_without_a_file_all_is_default(path: Path) -> None:
    loaded = load_settings(path, environ={})

    assert loaded.settings == Settings()
    assert not loaded.exists


def test_flags_come_before_variables_before_the_file(path: Path) -> None:
    path.write_text("[node]\nport = 1\ncluster = 'file'\nname = 'file'\n")

    loaded = load_settings(
        path,
        environ={"NEXA_NODE_PORT": "2", "NEXA_NODE_CLUSTER": "variable"},
        flags={"node.port": "3"},
    )

    node = loaded.settings.node
    assert (node.port, node.cluster, node.name) == (3, "variable", "file")
    assert loaded.origins == {
        "node.port": "--port",
        "node.cluster": "NEXA_NODE_CLUSTER",
        "node.name": f"{path}:4",
    }


def test_variables_that_are_no_settings_are_left_alone(path: Path) -> None:
    environ = {"NEXA_HOME": "/x", "NEXA_TOKEN_FILE": "/y", "NEXA_OTHER_THING": "z"}

    assert load_settings(path, environ=environ).origins == {}


def test_a_number_in_a_text_setting_stays_text(path: Path) -> None:
    loaded = load_settings(
        path, environ={}, flags={"store.sha256": "00", "node.name": "7"}
    )

    assert (loaded.settings.store.sha256, loaded.settings.node.name) == ("00", "7")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[node]\n# a\nprot = 1\n", (":3: 'prot'", "did you mean 'port'")),
        ("[nod]\nport = 1\n", (":2: 'nod'", "did you mean 'node'")),
        ("zzz = 1\n", (":1: 'zzz'", "there are:")),
        ("[leases]\nlease_ms = 'x'\n", (":2: leases.lease_ms", "`int`")),
        ("[leases\n", (":1: no TOML",)),
        ("[node]\nport = 99999\n", (":2: node.port", "no port")),
        ("[node]\nname = 'A B'\n", (":2: node.name", "no slug")),
        ("[node]\ncluster = ''\n", (":2: node.cluster", "no slug")),
        ("[store]\nnats_server = '/x'\n", (":2: store.nats_server", "sha256")),
        ("[[check]]\nname='a'\nkind='tcp'\n", (":3: check.0.kind", "target")),
        ("[[check]]\nname='a'\nkind='exec'\n", (":3: check.0.kind", "command")),
        ("[[check]]\nname='a'\nkind='dsn'\ntarget='x'\n", (":3: check.0.kind", "dsn")),
        (
            "[[check]]\nname='a'\nkind='tcp'\ntarget='x'\n" * 2,
            (":6: check.1.name", "two checks"),
        ),
        (
            "[[check]]\nname='a'\nkind='tcp'\ntarget='x'\ntimeout_ms=0\n",
            (":5: check.0.timeout_ms", "above 0"),
        ),
        ("[[check]]\nname='a'\nkindd='tcp'\n", (":3: 'kindd'", "did you mean 'kind'")),
        ("[sampling]\ninterval_ms = 0\n", (":2: sampling.interval_ms", "at least 1")),
        ("[leases]\nlease_ms = -5\n", (":2: leases.lease_ms", "at least 1")),
        ("node.prot = 1\n", (":1: 'prot'", "did you mean 'port'")),
        ("node = 1\n", (":1: node",)),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    path: Path, text: str, says: tuple[str, ...]
) -> None:
    path.write_text(text)

    with pytest.raises(ConfigInvalid) as wrong:
        load_settings(path, environ={})
    assert str(path) in wrong.value.message
    assert all(word in wrong.value.message for word in says), wrong.value.message
    assert wrong.value.remedy


def test_wrong_flags_and_variables_are_named(path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"NEXA_NODE_PORT: node\.port"):
        load_settings(path, environ={"NEXA_NODE_PORT": "x"})
    with pytest.raises(ConfigInvalid, match="--set: 'prot'"):
        load_settings(path, environ={}, flags={"node.prot": "1"})


def test_a_file_that_was_named_must_be_there(path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="there is no settings file"):
        load_settings(path, environ={}, required=True)


def test_a_file_that_is_no_text_is_refused(path: Path) -> None:
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigInvalid, match="not UTF-8"):
        load_settings(path, environ={})


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="can't be read"):
        load_settings(tmp_path, environ={})


def test_the_example_is_valid_and_changes_nothing(path: Path) -> None:
    path.write_text(example())
    every = "\n".join(
        line.removeprefix("# ") if " = " in line and "check" not in line else line
        for line in example().splitlines()
        if not line.startswith("#  ")
    )

    assert load_settings(path, environ={}).settings == Settings()
    assert "lease_ms = 30000" in every
    assert "Fencing makes an early" in example()
    assert tomllib.loads(example())


def test_what_is_told_over_the_network_has_no_password_in_an_address(
    path: Path,
) -> None:
    path.write_text(
        "[[check]]\nname = 'db'\nkind = 'postgres'\n"
        "target = 'postgres://nexa:hush-hush@db.example/x'\n"
    )
    told = settings_told(load_settings(path, environ={}))
    value = {one.key: one.value for one in told}["check.0.target"]

    assert value == "postgres://***@db.example/x"
    assert "hush-hush" not in repr(told)


def test_the_listing_tells_every_value_and_its_origin(path: Path) -> None:
    path.write_text("[[check]]\nname='a'\nkind='dns'\ntarget='x'\n")
    rows = {row["key"]: row for row in listing(load_settings(path, environ={}))}

    assert rows["node.port"] == {"key": "node.port", "value": 6392, "origin": "default"}
    assert rows["check.0.name"]["origin"] == f"{path}:2"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(max_size=200)
    | st.from_regex(r"\[[a-z]{1,6}\]\n[a-z_]{1,9} ?= ?[0-9'\[\]]{1,5}")
)
def test_no_text_brings_it_down(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="replace")
    with suppress(ConfigInvalid):
        load_settings(path, environ={})


def test_a_queue_has_a_strategy_of_its_own(path: Path) -> None:
    path.write_text("[[queue]]\nname='wc'\nstrategy='sticky'\n")
    loaded = load_settings(path, environ={})

    assert loaded.settings.queues[0].strategy == "sticky"
    assert {row["key"] for row in listing(loaded)} >= {"queue.0.name"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[queue]]\nname='A b'\n", "queue.0.name: 'A b' is no slug"),
        ("[[queue]]\nname='a'\n[[queue]]\nname='a'\n", "two queues named 'a'"),
        ("[[queue]]\nname='a'\nstrategy='best'\n", "queue.0.strategy"),
        ("[[queue]]\nnam='a'\n", "did you mean 'name'"),
    ],
)
def test_a_queue_that_means_nothing_is_refused(
    path: Path, text: str, told: str
) -> None:
    path.write_text(text)
    with pytest.raises(ConfigInvalid, match=told):
        load_settings(path, environ={})
