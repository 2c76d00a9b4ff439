"""The HTTP surface around BentoML's own: GET routes, authentication, limits, one shape of errors, API pages."""
