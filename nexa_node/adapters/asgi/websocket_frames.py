"""WebSocket frames: the `websockets` library's machine, with what it leaves to others.

Text that is not UTF-8 ends the connection at the first fragment that shows it, and is
nobody's to decode after that. A message has at most `FRAGMENTS_MAX` fragments, since a
limit on its size says nothing about empty ones. A close frame may come between two
fragments (RFC 6455, section 5.4): that is the end of the message, and no error.
"""

import codecs
import logging

from websockets.exceptions import PayloadTooBig
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol

FRAGMENTS_MAX = 1024
"""Of one message."""

_utf8 = codecs.getincrementaldecoder("utf-8")


class TooManyFragments(PayloadTooBig):
    """Closes with 1009, as a message that is too long does."""

    def __init__(self) -> None:
        """Say so."""
        super().__init__(None, FRAGMENTS_MAX)

    def __str__(self) -> str:
        """Say what the limit is."""
        return f"more than {FRAGMENTS_MAX} fragments"


class Frames(ServerProtocol):
    """One connection's frames, in and out. Raises nothing: see `parser_exc`."""

    def __init__(self, *, max_size: int, logger: logging.Logger) -> None:
        """Wait for the upgrade.

        Args:
            max_size: Bytes of one message, all fragments together.
            logger: Told of faults of the library.
        """
        super().__init__(max_size=max_size, logger=logger)
        self._decoder: codecs.IncrementalDecoder | None = None
        """Of the text message that comes in fragments just now."""
        self._fragments = 0

    def recv_frame(self, frame: Frame) -> None:
        """Take one frame; called by the library's parser, which closes if it raises."""
        match frame.opcode:
            case Opcode.TEXT | Opcode.BINARY | Opcode.CONT:
                self._check(frame)
            case Opcode.CLOSE:
                self.current_size = None
            case _:
                pass
        super().recv_frame(frame)

    def _check(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CONT:
            self._fragments += 1
            if self._fragments > FRAGMENTS_MAX:
                raise TooManyFragments
        else:
            self._fragments = 1
            self._decoder = _utf8() if frame.opcode is Opcode.TEXT else None
        if self._decoder is not None:
            self._decoder.decode(bytes(frame.data), final=frame.fin)
