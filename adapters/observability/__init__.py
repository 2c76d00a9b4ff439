"""Metrics, logs, traces and status of a running server."""
