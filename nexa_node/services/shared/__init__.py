"""State that users share, and the conflicts there were."""
