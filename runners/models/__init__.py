"""Model files: the manifest, sources, digests, and the model store."""
