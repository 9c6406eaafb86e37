"""Whom to tell of which alerts, when, and in which words: decisions alone."""
