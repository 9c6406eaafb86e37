"""The machine: its figures, its processes."""
