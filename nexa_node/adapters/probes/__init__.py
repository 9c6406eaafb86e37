"""Probes: one file per kind of check, each with a time-out."""
