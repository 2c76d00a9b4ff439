"""Fetches the bytes of a picture from an address, which is checked first."""
