"""The outside world: Label Studio, pictures, HTTP, settings and the command line."""
