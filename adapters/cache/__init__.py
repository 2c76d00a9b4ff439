"""People that were found before, so that nobody computes them twice."""
