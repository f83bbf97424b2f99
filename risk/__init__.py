"""Limits on what may be traded, and the ledger that remembers what was."""
