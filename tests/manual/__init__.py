"""The manual: what it shows works."""
