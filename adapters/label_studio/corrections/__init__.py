"""What annotators change in predictions, and how it is counted."""
