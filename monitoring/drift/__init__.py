"""Has the market, or the feed, left what the models know? Pure statistics.

`check.judge` holds a session so far against the sessions before it; each rule is one file.
"""
