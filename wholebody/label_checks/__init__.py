"""Finds annotations that are probably wrong, from geometry alone.

Each check compares the annotation with what it would be after a typical mistake is undone. A mistake is reported if the
undone version is much more plausible.
"""
