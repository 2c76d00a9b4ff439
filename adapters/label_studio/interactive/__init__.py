"""Smart tools: the annotator's prompts, and the people on the page."""
