from collections.abc import Callable
from unicodedata import category

import pytest
from textual.app import App
from textual.widgets import Input

from nexa_tui.theming import Terminal
from nexa_tui.widgets.filterbar import FilterBar
from tests.tui.hostile import CORPUS
from tests.tui.widgets.looks import screen_text

StageOf = Callable[..., App[None]]


@pytest.fixture
def listening(stage: StageOf) -> Callable[[FilterBar], App[None]]:
    class Listening(type(stage())):
        def on_filter_bar_changed(self, message: FilterBar.Changed) -> None:
            self.told.append(message.filter.text)
            assert message.control is message.bar

        def on_filter_bar_closed(self, message: FilterBar.Closed) -> None:
            self.told.append(message.control)

    return lambda bar: Listening(bar, terminal=Terminal())


async def test_a_filter_works_while_it_is_typed(listening: StageOf) -> None:
    bar = FilterBar(keys=("state",))
    app = listening(bar)
    async with app.run_test(size=(80, 5)) as pilot:
        assert not bar.display
        bar.open()
        await pilot.press("w", "c")
        await pilot.pause()
        bar.say("3 of 120")
        await pilot.pause()

        assert app.told == ["w", "wc"]
        assert bar.filter.accepts({"id": "wc-1"})
        assert not bar.filter.accepts({"id": "sort-1"})
        assert "3 of 120" in screen_text(app)


async def test_an_invalid_pattern_keeps_the_last_good_one(listening: StageOf) -> None:
    bar = FilterBar(keys=("state",))
    app = listening(bar)
    async with app.run_test(size=(80, 5)) as pilot:
        bar.open()
        await pilot.press(*"re:w", "[")
        await pilot.pause()

        assert bar.has_class("-wrong")
        assert bar.filter.accepts({"id": "w"})
        assert not bar.filter.accepts({"id": "x"})
        assert "not a pattern" in screen_text(app)
        bar.say("3 of 120")
        await pilot.pause()
        assert "3 of 120" not in screen_text(app)

        await pilot.press("backspace")
        await pilot.pause()
        assert not bar.has_class("-wrong")


async def test_enter_keeps_the_filter_and_goes_back(listening: StageOf) -> None:
    bar = FilterBar()
    app = listening(bar)
    async with app.run_test(size=(80, 5)) as pilot:
        bar.open()
        await pilot.press("w", "enter")
        await pilot.pause()

        assert app.told == ["w", bar]
        assert bar.display
        assert bar.filter.text == "w"


async def test_escape_clears_the_filter_and_goes_back(listening: StageOf) -> None:
    bar = FilterBar()
    app = listening(bar)
    async with app.run_test(size=(80, 5)) as pilot:
        bar.open()
        await pilot.press("w", "escape")
        await pilot.pause()

        assert not bar.display
        assert not bar.filter
        assert bar in app.told


async def test_hostile_words_are_harmless(listening: StageOf) -> None:
    bar = FilterBar()
    app = listening(bar)
    async with app.run_test(size=(80, 5)) as pilot:
        bar.open()
        await pilot.pause()
        for text in CORPUS:
            bar.query_one(Input).value = text
            bar.say(text)
            await pilot.pause()

            seen = screen_text(app).replace("\n", "")
            assert not {category(one) for one in seen} & {"Cc", "Cf", "Cs", "Zl"}
