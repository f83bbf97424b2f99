"""Subcommands of `usdcop`, one file per noun."""
