"""Checks and limits that a request passes before its route."""
