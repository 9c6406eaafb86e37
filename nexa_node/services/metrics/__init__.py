"""How it runs, in numbers: readings, their text, queries."""
