import stat
from datetime import UTC, datetime
from pathlib import Path

from nexa_tui.app.crash import last_words, write_crash

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def failed() -> Exception:
    token = "nxa_op1_secret"
    try:
        raise ValueError("agent \x1b]52;c;eA==\x07 said")
    except ValueError as error:
        assert token
        return error


def test_a_crash_is_kept_for_the_operator_alone(tmp_path: Path) -> None:
    path = write_crash(failed(), tmp_path / "logs", at=AT)

    assert path is not None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.name == "crash-20260301T120000.txt"


def test_no_value_of_a_variable_and_no_escape_is_written(tmp_path: Path) -> None:
    path = write_crash(failed(), tmp_path, at=AT)
    assert path is not None
    text = path.read_text()

    assert "ValueError" in text
    assert "nxa_op1_secret" not in text.replace('token = "nxa_op1_secret"', "")
    assert "\x1b" not in text


def test_a_folder_that_cannot_be_written_is_no_second_failure(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file")

    assert write_crash(failed(), tmp_path / "logs", at=AT) is None


def test_the_last_words_say_that_the_nodes_go_on(tmp_path: Path) -> None:
    words = last_words(failed(), tmp_path / "x")

    assert "nodes and agents go on" in words
    assert "nexa opens it again" in words
    assert "\x1b" not in words
    assert "no details" in last_words(failed(), None)
