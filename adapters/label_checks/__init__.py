"""Checks the annotations of projects and files for probable mistakes."""
