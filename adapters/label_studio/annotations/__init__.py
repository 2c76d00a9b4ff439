"""Reads Label Studio's regions into people."""
