"""History replay: a market that has been, a router that trades on it, and what came of it."""
