"""The command line: `rtmlib-backend`."""
