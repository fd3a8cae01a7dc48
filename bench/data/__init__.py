"""Data sets of installed packages."""
