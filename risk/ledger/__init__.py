"""The ledger: one ordered, hash-chained log of events and the state folded from it.

`protocol` says what every ledger promises; `memory`, `sqlite` and `redis` are three that do.
`anchored` holds any of them against what it acknowledged before.
"""
