"""From bars and macro values to the vector that a model reads."""
