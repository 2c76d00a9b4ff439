"""The BentoML services around the networks, their worker processes and their batches."""
