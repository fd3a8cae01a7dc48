"""This machine: clocks and locks, provenance, processes, files written in one step."""
