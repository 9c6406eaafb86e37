"""Words that stand in labels: known without what computes with them."""

NAME = "__name__"
"""The label that holds a series' name."""
