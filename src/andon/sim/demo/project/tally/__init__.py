"""Counts a text."""
