"""Writes people as Label Studio's regions."""
