"""Settings: their types (`settings`) and where their values come from (`load`)."""
