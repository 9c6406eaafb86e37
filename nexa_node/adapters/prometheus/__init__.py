"""Prometheus and Alertmanager as they are: their HTTP APIs, read and written."""
