"""Commands about the quality of annotations."""
