"""Agents' connections: coming in, staying, coming back."""
