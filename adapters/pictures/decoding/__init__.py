"""Pixels from the bytes of a picture, within limits."""
