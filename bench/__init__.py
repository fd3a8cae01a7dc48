"""What runs, what is measured, what is shown."""
