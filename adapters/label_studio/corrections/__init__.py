"""Counts the annotators' changes to predictions."""
