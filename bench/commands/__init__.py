"""Verbs of `bench` that have a room of their own: they parse and print, and decide nothing."""
