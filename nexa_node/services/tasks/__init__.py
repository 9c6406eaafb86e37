"""Tasks: taken, queued, dispatched, claimed, finished."""
