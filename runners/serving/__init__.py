"""The runners: BentoML services, worker processes and batching."""
