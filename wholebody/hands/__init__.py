"""Hands: where the networks for hands search, and which of their results are accepted."""
