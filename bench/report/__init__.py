"""Boards: a pure function of the records."""
