"""Data sets of a project's pictures, in the forms of the programs that train and evaluate on them."""
