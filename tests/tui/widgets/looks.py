"""What a widget shows, without colours."""

from textual.app import App
from textual.geometry import Region
from textual.widget import Widget


def shown(widget: Widget) -> list[str]:
    """The lines of a widget's content."""
    return [widget.render_line(y).text.rstrip() for y in range(widget.size.height)]


def screen_text(app: App[object]) -> str:
    """The whole screen."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


class Painted:
    """Collects the regions a widget asks to be painted."""

    def __init__(self, widget: Widget) -> None:
        self.regions: list[Region] = []
        self.whole = 0
        original = widget.refresh

        def refresh(*regions: Region, **how: bool) -> Widget:
            self.regions.extend(regions)
            self.whole += not regions
            return original(*regions, **how)

        widget.refresh = refresh

    @property
    def cells(self) -> int:
        return sum(region.width * region.height for region in self.regions)
