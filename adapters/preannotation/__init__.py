"""Predictions for all tasks of a project that lack one."""
