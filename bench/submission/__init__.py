"""Whether a published folder can join the boards: what its records say, counted and run again."""
