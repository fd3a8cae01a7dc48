"""The training loop, its schedules, snapshots and processes."""
