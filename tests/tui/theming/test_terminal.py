import pytest

from nexa_tui.theming import Terminal, terminal, tidy_environment


@pytest.mark.parametrize(
    ("environ", "colours"),
    [
        ({"TERM": "xterm-256color"}, "256"),
        ({"TERM": "tmux-256color", "COLORTERM": "truecolor"}, "true"),
        ({"TERM": "xterm", "COLORTERM": "24bit"}, "true"),
        ({"TERM": "xterm"}, "16"),
        ({"TERM": "screen"}, "16"),
        ({}, "16"),
        ({"TERM": "xterm-kitty"}, "256"),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, "none"),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, "256"),
        ({"TERM": "vt100"}, "none"),
        ({"TERM": "vt220", "COLORTERM": "truecolor"}, "true"),
        ({"TERM": "xterm-mono"}, "none"),
        ({"TERM": "xterm", "TEXTUAL_COLOR_SYSTEM": "truecolor"}, "true"),
    ],
)
def test_colours_are_judged_by_the_environment(
    environ: dict[str, str], colours: str
) -> None:
    assert terminal(environ).colours == colours


@pytest.mark.parametrize(
    ("environ", "ascii_only"),
    [
        ({"LANG": "en_US.UTF-8"}, False),
        ({"LANG": "C.utf8"}, False),
        ({"LANG": "C"}, True),
        ({"LANG": "de_DE.UTF-8", "LC_ALL": "POSIX"}, True),
        ({}, False),
        ({"TERM": "linux", "LANG": "en_US.UTF-8"}, True),
        ({"TERM": "vt100", "LANG": "en_US.UTF-8"}, True),
    ],
)
def test_the_locale_says_what_can_be_drawn(
    environ: dict[str, str], ascii_only: bool
) -> None:
    judged = terminal(environ)

    assert judged.ascii_only is ascii_only
    assert judged.charts == ("ascii" if ascii_only else "braille")


def test_the_operator_may_ask_for_ascii() -> None:
    assert terminal({"LANG": "C.UTF-8"}, ascii_only=True).ascii_only


def test_few_colours_wear_the_terminals_own() -> None:
    assert Terminal(colours="none").wears("nexa-dark") == "ansi-16"
    assert Terminal(colours="16").wears("nexa-dark") == "ansi-16"
    assert Terminal(colours="256").wears("nexa-dark") == "nexa-dark"
    assert Terminal(colours="none").no_colour


def test_an_empty_no_color_is_not_set() -> None:
    environ = {"NO_COLOR": ""}
    tidy_environment(environ)
    assert environ == {}

    environ = {"NO_COLOR": "1"}
    tidy_environment(environ)
    assert environ == {"NO_COLOR": "1"}


def test_a_terminal_without_colours_is_as_if_it_were_said() -> None:
    environ = {"TERM": "vt100"}
    tidy_environment(environ)
    assert environ["NO_COLOR"]

    environ = {"TERM": "xterm"}
    tidy_environment(environ)
    assert environ == {"TERM": "xterm"}
