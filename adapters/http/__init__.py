"""HTTP around BentoML: the gateway with its guards, GET routes, errors in one format, API pages."""
