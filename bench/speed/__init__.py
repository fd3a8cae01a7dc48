"""Codecs and trainings timed side by side, on samples or on a checkpoint of your own."""
