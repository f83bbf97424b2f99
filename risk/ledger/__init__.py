"""The ledger: one ordered, hash-chained log of events and the state folded from it.

`protocol` says what every ledger promises; `memory` and `sqlite` are two that do.
"""
