from collections.abc import Callable
from pathlib import Path

import pytest
from textual.app import App

from nexa_tui.theming import DEFAULT_THEME, ThemeProblem, Themes, variable_defaults
from nexa_tui.theming.look import CHARTS, COLOURS, STATES, STYLES

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def put(text: str, name: str = "mine") -> Path:
        path = tmp_path / f"{name}.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return put


def problem(folder: Path, name: str = "mine") -> ThemeProblem:
    with pytest.raises(ThemeProblem) as caught:
        Themes(folder).load(name)
    return caught.value


def test_our_own_themes_are_right() -> None:
    themes = Themes()

    assert themes.problems() == ()
    assert len(themes.names()) >= 8
    assert themes.names()[0] == DEFAULT_THEME


@pytest.mark.parametrize("name", Themes().names())
def test_every_theme_sets_every_variable(name: str) -> None:
    look = Themes().load(name)
    wanted = len(COLOURS) + len(STATES) + len(CHARTS) + len(STYLES)

    assert len(look.values) == wanted
    assert look.variables().keys() == variable_defaults().keys()
    assert look.theme().to_color_system().generate()


def test_the_defaults_are_the_default_theme() -> None:
    look = Themes().load(DEFAULT_THEME)

    told = {
        key: value
        for key, value in look.variables().items()
        if not key.startswith("nexa-style-")
    }
    assert told.items() <= variable_defaults().items()


def test_a_theme_extends_another(tmp_path: Path, write: Write) -> None:
    write('name = "mine"\nextends = "nexa-light"\n[states]\nok = "#003300"\n')

    look = Themes(tmp_path).load("mine")

    assert look.values["ok"] == "#003300"
    assert look.values["text"] == Themes().load("nexa-light").values["text"]
    assert not look.dark


def test_the_operators_theme_goes_before_ours(tmp_path: Path, write: Write) -> None:
    write(
        'name = "dune"\nextends = "nexa-dark"\n[states]\nok = "#00ff00"\n', name="dune"
    )

    assert Themes(tmp_path).load("dune").values["ok"] == "#00ff00"


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ('name = "mine"\nextends = "nexa-dark"\n[states]\nwarnn = "#ffffff"', 4,
         'unknown key "warnn"; did you mean "warn"?'),
        ('name = "mine"\nextends = "nexa-dark"\n[colours]\ntext = "#ffffff"', 3,
         'did you mean "colors"?'),
        ('name = "mine"\nextends = "nexa-dark"\nqqqqqqqq = 1', 3, "known: name, title"),
        ('name = "mine"\nextends = "nexa-dark"\n[states]\nok = "zz"', 4,
         'six hex figures'),
        ('name = "mine"\nextends = "nexa-dark"\n[states]\nok = "#12"', 4, "#12"),
        ('name = "mine"\nextends = "nexa-dark"\n[states]\nok = "ansi_green"', 4, "hex"),
        ('name = "mine"\nextends = "ansi-16"\n[states]\nok = "#00ff00"', 4,
         "ansi_green"),
        ('name = "mine"\nextends = "nexa-dark"\n[states]\nok = 3', 4, "in quotes"),
        ('name = "mine"\nextends = "nexa-dark"\n[styles]\nkey = "wavy"', 4, "reverse"),
        ('name = "mine"\nextends = "nexa-dark"\nstates = 3', 3, "is a table"),
        ('name = "yours"\nextends = "nexa-dark"', 1, 'name must be "mine"'),
        ('name = "mine"\ndark = "yes"', 2, "true or false"),
        ('name = "mine"\ntitle = 3', 2, "a text in quotes"),
        ('name = "mine"\nextends = "nowhere"', 2, 'cannot extend "nowhere"'),
        ('name = "mine"\nextends = "mine"', 2, 'cannot extend "mine"'),
        ('name = "mine"\n[colors]\ntext = "#ffffff"', 0, '[colors] lacks "background"'),
        ('name = "mine"\n[colors\n', 2, "not TOML"),
        ("\x1b[2J", 1, "not TOML"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(
    tmp_path: Path, write: Write, text: str, line: int, told: str
) -> None:
    path = write(text)

    found = problem(tmp_path)

    assert found.line == line
    assert told in str(found)
    assert str(path) in str(found)
    assert str(found).isprintable()


def test_a_circle_of_themes_ends(tmp_path: Path, write: Write) -> None:
    write('name = "mine"\nextends = "yours"')
    write('name = "yours"\nextends = "mine"', name="yours")

    assert "cannot extend" in str(problem(tmp_path))


def test_files_that_are_no_text_are_told(tmp_path: Path, write: Write) -> None:
    write("").write_bytes(b"\xff\xfe")
    assert "UTF-8" in str(problem(tmp_path))

    write("#" * 70_000)
    assert "no theme" in str(problem(tmp_path))


def test_a_folder_in_place_of_a_file_is_no_theme(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").mkdir()

    assert "no such theme" in str(problem(tmp_path))


@pytest.mark.parametrize("name", ["../../etc/passwd", "Upper", "", "x" * 33, "a/b"])
def test_a_name_is_no_path(tmp_path: Path, name: str) -> None:
    assert Themes(tmp_path).find(name) is None


def test_all_problems_are_told_together(tmp_path: Path, write: Write) -> None:
    write("x = 1")
    write("y = 1", name="other")

    assert len(Themes(tmp_path, tmp_path / "missing").problems()) == 2


def test_a_file_written_again_has_another_stamp(tmp_path: Path, write: Write) -> None:
    path = write('name = "mine"\nextends = "nexa-dark"')
    themes = Themes(tmp_path)
    before = themes.stamp("mine")

    import os

    os.utime(path, ns=(1, 1))

    assert themes.stamp("mine") != before
    assert themes.stamp("missing") is None


def test_in_256_colours_planes_stay_apart_and_greys_stay_grey() -> None:
    values = Themes().load("nexa-dark").in_256_colours().values

    assert len({values[plane] for plane in ("surface", "panel", "cursor")}) == 3
    assert len({values["muted"][at : at + 2] for at in (1, 3, 5)}) == 1
    assert Themes().load("ansi-16").in_256_colours().values["ok"] == "ansi_green"


def test_a_theme_of_textuals_own_does_not_end_the_application() -> None:
    class Bare(App[None]):
        CSS = "Screen { color: $nexa-ok; text-style: $nexa-style-key; }"

        def get_theme_variable_defaults(self) -> dict[str, str]:
            return variable_defaults()

    assert Bare().stylesheet is not None
