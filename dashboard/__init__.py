"""The page at `/dashboard`: its markup, style and scripts, which hold no data."""
