"""This machine: timing, locks, provenance, processes, and files written in one step."""
