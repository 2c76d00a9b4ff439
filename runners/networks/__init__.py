"""Pre- and post-processing of each kind of network."""
