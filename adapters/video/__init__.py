"""Clips: read within limits, and looked at so often that all of a clip is seen in time."""
