"""`nexa config validate` looks at what the settings point to, too."""

from pathlib import Path

import pytest

from nexa_node.contract import places
from nexa_node.wiring import config


@pytest.fixture
def password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NEXA_HOME", str(tmp_path))
    path = places.node_config(tmp_path / "config")
    path.parent.mkdir(mode=0o700)
    path.write_text(
        "[[check]]\nname='db'\nkind='redis'\ntarget='127.0.0.1:1'\n"
        f"password_file='{tmp_path / 'secret'}'\n"
    )
    return tmp_path / "secret"


def test_a_private_password_file_is_valid(
    password: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    password.write_text("x")
    password.chmod(0o600)

    assert config.main(["validate"]) == 0
    assert capsys.readouterr().out.startswith("valid: ")


def test_a_password_file_that_others_may_read_is_refused(
    password: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    password.write_text("x")
    password.chmod(0o644)

    assert config.main(["validate"]) == 1
    told = capsys.readouterr().err
    assert "nexa.toml:5: other users may read" in told
    assert f"mend: chmod 600 {password}" in told


def test_a_password_file_that_is_missing_is_told(
    password: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert config.main(["validate"]) == 1
    assert f"{password} can't be read: No such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("[[receiver]]\nname='chat'\nkind='slack'", "url_file"),
        ("[[receiver]]\nname='pager'\nkind='pagerduty'", "token_file"),
        ("[alerting]", "heartbeat_url_file"),
    ],
)
def test_every_file_of_a_secret_is_looked_at(
    section: str,
    key: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("NEXA_HOME", str(tmp_path))
    path, secret = places.node_config(tmp_path / "config"), tmp_path / "secret"
    path.parent.mkdir(mode=0o700)
    path.write_text(f"{section}\n{key}='{secret}'\n")

    assert config.main(["validate"]) == 1
    assert f"correct {key} of" in capsys.readouterr().err
    secret.write_text("x")
    secret.chmod(0o640)
    assert config.main(["validate"]) == 1
    assert "other users may read" in capsys.readouterr().err
    secret.chmod(0o600)
    assert config.main(["validate"]) == 0
