"""Predictions for whole projects: which tasks lack one, the work, and what became of it."""
