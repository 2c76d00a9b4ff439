"""Label Studio's HTTP API and its credentials."""
