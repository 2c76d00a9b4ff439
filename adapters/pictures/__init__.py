"""From the image value of a task to an upright picture: guarded fetching and decoding."""
