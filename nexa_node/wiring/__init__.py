"""The composition root: knows every adapter and every service; nobody knows it."""
