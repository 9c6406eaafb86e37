"""Text that somebody might send to do harm: escapes, directions, unseen signs, markup."""

ESCAPES = (
    "\x1b]52;c;aGVsbG8=\x07",  # writes the clipboard
    "\x1b]0;owned\x07",  # names the window
    "\x1b]8;;https://example.org\x1b\\click\x1b]8;;\x1b\\",  # a link
    "\x1b[2J\x1b[H",  # clears the screen
    "\x1b[6n",  # makes the terminal type
    '\x1bP$q"p\x1b\\',  # asks for settings, and gets them typed
    "\x1bc",  # resets the terminal
    "\x9b31mred",  # C1 CSI
    "\x9d52;c;aGVsbG8=\x9c",  # C1 OSC
    "a\rb\x08\x0b\x0c\x00\x7f",
    "\x1b[?1049l",
)
DIRECTIONS = (
    "abc\u202edcba",
    "\u2066admin\u2069",
    "\u061c\u200e\u200f",
)
UNSEEN = (
    "a\u200bb\u200cc\u200dd\ufeff",
    "tag\U000e0041\U000e007f",
    "\u2028line\u2029",
    "half \ud800 pair",
    "\u3164\u115f\u2800",
    "\u00ad\u00a0",
    "a\ufe0f\U000e0100",
    "\ue000 private",
)
MARKUP = (
    "agent [/closing] down",
    "[@click=app.quit]click[/]",
    "[a=b c='",
    "[link=file:///etc/passwd]x[/link]",
    "[bold red]x[/]",
    "list[int]",
    "C:\\[x]",
    "[b][/i]",
)
MARKS = ("Z" + "\u0300\u0301\u0302\u0303\u0304" * 20, "\u0301\u0301x", "a \u0301")
CORPUS = (*ESCAPES, *DIRECTIONS, *UNSEEN, *MARKUP, *MARKS)
