"""Label configs: read into what a project wants, and printed for new projects."""
