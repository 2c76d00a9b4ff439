"""COCO-WholeBody: what people annotated as its JSON, and how well predictions agree with it."""
