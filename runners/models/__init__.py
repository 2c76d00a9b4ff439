"""Model files: which there are, where they come from, their digests, and the store that keeps them."""
