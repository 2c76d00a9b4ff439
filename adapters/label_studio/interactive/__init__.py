"""Smart tools: what the annotator pointed at, and whom the page shows."""
