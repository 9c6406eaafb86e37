"""The console as an application: `run_console` opens it and answers its exit code."""

from nexa_tui.app.running import run_console
from nexa_tui.settings import ConsoleOptions

__all__ = ["ConsoleOptions", "run_console"]
