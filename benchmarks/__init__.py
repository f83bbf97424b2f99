"""What the service is measured by, with real processes: speed, and what it survives."""
