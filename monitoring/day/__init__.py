"""The day of a desk: a look before the session, a report after it."""
