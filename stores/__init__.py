"""Ways to the servers and files that keep what must not be lost: Redis, SQLite."""
