"""Alerts: who is told of what, once, until it is over."""
