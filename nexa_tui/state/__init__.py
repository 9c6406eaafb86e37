"""Pure view state: what is known, and the rows each screen shows."""
