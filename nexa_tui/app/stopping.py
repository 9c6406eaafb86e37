"""SIGTSTP and SIGCONT, taken by the loop between two of its turns.

Textual's driver takes them wherever the main thread happens to be, and then writes to the
terminal through a queue: if the thread was just putting something into that queue, it
waits for its own lock for ever, and neither the shell nor the console answers.
"""

import asyncio
import signal

_SIGNALS = (signal.SIGTSTP, signal.SIGCONT)


def take_in_turn(loop: asyncio.AbstractEventLoop) -> None:
    """Let `loop` call the handlers that the driver has set; none if it set none."""
    for number in _SIGNALS:
        handler = signal.getsignal(number)
        if callable(handler):
            loop.add_signal_handler(number, handler, number, None)
