"""Alerting: rules are evaluated, alerts kept, people told."""
