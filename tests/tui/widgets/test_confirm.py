from collections.abc import Callable

import pytest
from textual.app import App

from nexa_tui.widgets.confirm import Confirm
from tests.tui.hostile import CORPUS
from tests.tui.widgets.looks import screen_text

StageOf = Callable[..., App[None]]


def question(**how: str) -> Confirm:
    return Confirm(
        **{
            "title": "Stop a node",
            "target": "node alpha",
            "effects": ("3 tasks in flight are given to others.",),
            "verb": "Stop alpha",
            **how,
        }
    )


async def answers(app: App[None], keys: list[str], **how: str) -> list[bool | None]:
    given: list[bool | None] = []
    async with app.run_test(size=(80, 24)) as pilot:
        app.push_screen(question(**how), given.append)
        await pilot.pause()
        await pilot.press(*keys)
        await pilot.pause()
    return given


async def test_it_names_the_target_and_what_will_happen(stage: StageOf) -> None:
    app = stage()
    async with app.run_test(size=(80, 24)) as pilot:
        app.push_screen(question(type_name="alpha"))
        await pilot.pause()
        text = screen_text(app)

    told = (
        "Stop a node",
        "node alpha",
        "3 tasks",
        "Type alpha",
        "Cancel",
        "Stop alpha",
    )
    assert all(words in text for words in told)


@pytest.mark.parametrize(
    "keys", [["enter"], ["space"], ["escape"], ["tab", "tab", "enter"]]
)
async def test_an_absent_minded_key_cancels(stage: StageOf, keys: list[str]) -> None:
    assert await answers(stage(), keys) == [False]


@pytest.mark.parametrize("keys", [["tab", "enter"], ["right", "enter"]])
async def test_going_on_takes_two_keys(stage: StageOf, keys: list[str]) -> None:
    assert await answers(stage(), keys) == [True]


async def test_the_name_must_be_typed(stage: StageOf) -> None:
    back = "shift+tab"
    assert await answers(stage(), ["tab", "enter"], type_name="alpha") == []
    assert await answers(
        stage(), [back, *"alph", "enter", "tab", "enter"], type_name="alpha"
    ) in ([], [False])
    assert await answers(
        stage(), [back, *"alpha", "enter", "tab", "enter"], type_name="alpha"
    ) == [True]


async def test_a_click_answers(stage: StageOf) -> None:
    app = stage()
    given: list[bool | None] = []
    async with app.run_test(size=(80, 24)) as pilot:
        app.push_screen(question(), given.append)
        await pilot.pause()
        await pilot.click("#confirm-yes")
        await pilot.pause()

    assert given == [True]


async def test_hostile_names_are_text(stage: StageOf) -> None:
    app = stage()
    async with app.run_test(size=(80, 24)) as pilot:
        for text in CORPUS:
            asked = Confirm(
                title="Stop", target=text, effects=(text,), verb=text, type_name=text
            )
            app.push_screen(asked)
            await pilot.pause()

            assert screen_text(app).replace("\n", "").isprintable()
            await app.pop_screen()
