"""Which nexa this is and which protocol versions it speaks.

`VERSION` is the one place the version is written; the build reads it from here.
"""

VERSION = "0.1.0"
"""Of nexa itself, semantic versioning."""

PROTOCOL = "1.0"
"""Of the agent protocol, MAJOR.MINOR; the major is also in the subprotocol's name."""

CONSOLE_PROTOCOL = 1
"""Of the console feed. A console refuses a node whose number is lower than its own."""

JSON_SUBPROTOCOL = "nexa.v1.json"
MSGPACK_SUBPROTOCOL = "nexa.v1.msgpack"
SUBPROTOCOLS = (JSON_SUBPROTOCOL, MSGPACK_SUBPROTOCOL)
"""What an agent may offer, in the node's order of preference."""
