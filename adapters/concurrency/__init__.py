"""Limits on concurrent work: admission, frames of a task, memory, threads."""
