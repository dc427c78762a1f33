"""Training and evaluation of what me2sdk ships: preference pairs, the bundled scorer, reward models."""
