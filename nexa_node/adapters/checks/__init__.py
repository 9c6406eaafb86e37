"""Checks: each looks at one real thing, and says why it is not well and what mends it."""
