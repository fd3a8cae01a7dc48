"""The verbs of `bench` that have a room of their own; each parses and prints, and decides nothing."""
