"""Every theme can be read, by everybody: measured, not judged by eye."""

import itertools

import pytest

from nexa_tui.theming import Look, Themes
from nexa_tui.theming.look import STATES

PLANES = ("background", "surface", "panel", "cursor")
WORDS = ("text", "muted", "accent", *STATES)
GRAPHICS = ("chart-low", "chart-mid", "chart-high", "chart-flow_high", "chart-second")
THEMES = Themes()
RGB_THEMES = [name for name in THEMES.names() if not THEMES.load(name).ansi]
# After Machado, Oliveira and Fernandes (2009), severity 1.0, in linear light.
DEFICIENCIES = {
    "protan": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deutan": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritan": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}


def linear(colour: str) -> tuple[float, ...]:
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return tuple(
        p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
    )


def luminance(colour: str) -> float:
    red, green, blue = linear(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def too_weak(look: Look, keys: tuple[str, ...], least: float) -> list[str]:
    return [
        f"{key} on {plane}: {found:.2f}"
        for key, plane in itertools.product(keys, PLANES)
        if (found := contrast(look.values[key], look.values[plane])) < least
    ]


def lab(light: tuple[float, ...]) -> tuple[float, float, float]:
    """Oklab, whose distances are about as large as they look."""
    red, green, blue = (max(0.0, min(1.0, part)) for part in light)
    long = (0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue) ** (1 / 3)
    middle = (0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue) ** (
        1 / 3
    )
    short = (0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue) ** (1 / 3)
    return (
        0.2104542553 * long + 0.7936177850 * middle - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * middle + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * middle - 0.8086757660 * short,
    )


def seen(colour: str, matrix: tuple[tuple[float, ...], ...]) -> tuple[float, ...]:
    light = linear(colour)
    return tuple(sum(a * b for a, b in zip(row, light, strict=True)) for row in matrix)


def distance(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    return sum((a - b) ** 2 for a, b in zip(lab(one), lab(other), strict=True)) ** 0.5


@pytest.mark.parametrize("name", RGB_THEMES)
def test_every_word_can_be_read_on_every_plane(name: str) -> None:
    assert too_weak(THEMES.load(name), WORDS, 4.5) == []


def test_high_contrast_keeps_its_promise() -> None:
    look = THEMES.load("high-contrast")

    assert too_weak(look, WORDS, 7.0) == []
    assert too_weak(look, ("border",), 4.5) == []


@pytest.mark.parametrize("name", RGB_THEMES)
def test_charts_stand_out_from_what_is_behind_them(name: str) -> None:
    assert too_weak(THEMES.load(name), GRAPHICS, 2.5) == []


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_states_differ_for_eyes_that_confuse_colours(deficiency: str) -> None:
    values = THEMES.load("colour-vision-safe").values
    matrix = DEFICIENCIES[deficiency]
    states = ("ok", "warn", "crit")

    close = [
        (one, other)
        for one, other in itertools.combinations(states, 2)
        if distance(seen(values[one], matrix), seen(values[other], matrix)) < 0.1
    ]

    assert close == []


def test_planes_are_three() -> None:
    for name in RGB_THEMES:
        values = THEMES.load(name).values
        planes = {values[plane] for plane in ("surface", "panel", "cursor")}
        assert len(planes) == 3, name
