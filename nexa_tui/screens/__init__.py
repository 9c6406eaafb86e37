"""Screens compose widgets and run workers."""
