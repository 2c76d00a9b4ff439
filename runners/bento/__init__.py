"""Every use of private parts of BentoML, circus and uvicorn."""
