"""Benchmarks; each measures the service and its reference in one run."""
