"""The console in a browser: textual-serve, behind a token, on loopback."""
