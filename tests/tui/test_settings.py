from pathlib import Path

import pytest

from nexa_node.contract.errors import Invalid
from nexa_tui.actions import BY_ID, FORBIDDEN_KEYS
from nexa_tui.settings import (
    ConsoleSettings,
    keep_theme,
    read_settings,
    settings_path,
)


def read(home: Path, text: str | bytes | None) -> ConsoleSettings:
    environ = {"NEXA_HOME": str(home)}
    if text is not None:
        path = settings_path(environ)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_settings(environ, actions=frozenset(BY_ID), refused=FORBIDDEN_KEYS)


def test_without_a_file_everything_is_as_it_comes(tmp_path: Path) -> None:
    assert read(tmp_path, None) == ConsoleSettings()


def test_a_file_is_read(tmp_path: Path) -> None:
    text = 'theme = "nexa-light"\nrefresh_s = 2\nmouse = false\n[keys]\nfilter = "f"\n'
    settings = read(tmp_path, text)

    assert settings.theme == "nexa-light"
    assert settings.refresh_s == 2
    assert settings.mouse is False
    assert settings.keys == {"filter": "f"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('\nthem = "x"\n', ":2: unknown key them; did you mean theme?"),
        ("zzz = 1\n", ":1: unknown key zzz"),
        ("theme = 1\n", ":1: Expected `str"),
        ("refresh_s = 0.01\n", ":1: refresh_s lies between"),
        ('[keys]\nfilte = "f"\n', ":2: unknown key filte; did you mean filter?"),
        ('[keys]\nfilter = "ctrl+s"\n', ":2: ctrl+s belongs to terminals"),
        ("keys = 1\n", ":1: Expected `object"),
        ("theme = \n", "line 1"),
        (b"\xff\xfe", "can't decode"),
    ],
)
def test_what_is_wrong_names_file_line_and_the_nearest_key(
    tmp_path: Path, text: str | bytes, told: str
) -> None:
    with pytest.raises(Invalid) as raised:
        read(tmp_path, text)

    assert "console.toml" in raised.value.message
    assert told in raised.value.message
    assert raised.value.remedy


def test_a_folder_in_its_place_is_told(tmp_path: Path) -> None:
    settings_path({"NEXA_HOME": str(tmp_path)}).mkdir(parents=True)

    with pytest.raises(Invalid, match="can't be read"):
        read(tmp_path, None)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, 'theme = "dune"\n'),
        ("", 'theme = "dune"\n'),
        ("ascii = true # mine\n", 'theme = "dune"\nascii = true # mine\n'),
        (
            "# look\ntheme = 'fjord'  # calm\n[keys]\nfilter = \"f\"\n",
            '# look\ntheme = "dune"  # calm\n[keys]\nfilter = "f"\n',
        ),
        ('"theme" = "fjord"\n', 'theme = "dune"\n'),
        (
            '[keys]\ntheme = "T"\n',
            'theme = "dune"\n[keys]\ntheme = "T"\n',
        ),
    ],
)
def test_a_chosen_theme_is_kept_and_nothing_else_changes(
    tmp_path: Path, before: str | None, after: str
) -> None:
    environ = {"NEXA_HOME": str(tmp_path)}
    path = settings_path(environ)
    if before is not None:
        path.parent.mkdir(parents=True)
        path.write_text(before)

    assert keep_theme(environ, "dune") == path
    assert path.read_text() == after
    assert read(tmp_path, None).theme == "dune"
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_file_that_is_a_link_stays_one(tmp_path: Path) -> None:
    path = settings_path({"NEXA_HOME": str(tmp_path)})
    path.parent.mkdir(parents=True)
    real = tmp_path / "dotfiles.toml"
    real.write_text("ascii = true\n")
    path.symlink_to(real)
    keep_theme({"NEXA_HOME": str(tmp_path)}, "dune")

    assert path.is_symlink()
    assert real.read_text() == 'theme = "dune"\nascii = true\n'


def test_a_broken_file_is_left_as_it_is(tmp_path: Path) -> None:
    path = settings_path({"NEXA_HOME": str(tmp_path)})
    path.parent.mkdir(parents=True)
    path.write_text("theme = [\n")
    with pytest.raises(Invalid, match=r"console\.toml"):
        keep_theme({"NEXA_HOME": str(tmp_path)}, "dune")

    assert path.read_text() == "theme = [\n"


def test_a_theme_that_can_not_be_kept_is_told(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("")
    with pytest.raises(Invalid, match="can't be written") as raised:
        keep_theme({"NEXA_HOME": str(tmp_path)}, "dune")

    assert raised.value.remedy
