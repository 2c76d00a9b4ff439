"""COCO-WholeBody: annotations as its JSON, and how well predictions agree with them."""
