"""Predictions of other programs as predictions in Label Studio."""
