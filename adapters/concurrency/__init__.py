"""How much is done at once: admission, frames of a task, memory, threads."""
