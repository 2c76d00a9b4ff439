"""From the tasks of a request to their predictions."""
