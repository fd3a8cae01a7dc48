"""Codecs and trainings timed side by side, on samples or on a checkpoint of your own.

How a run times the codec of a cell is slashbench.bench.pipeline.codec_timing.
"""
