"""Decisions: pure functions and sans-io machines. No clock, no I/O, no logging, no async."""
