"""Label configs: parsed for a project's controls, and generated for new projects."""
