"""The unit tests of tally."""
