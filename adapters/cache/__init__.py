"""The prediction cache: people found in a picture are not computed twice."""
