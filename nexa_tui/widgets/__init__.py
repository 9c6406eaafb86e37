"""Widgets show state and post messages; they never fetch."""
