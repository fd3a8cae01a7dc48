"""What is installed here, what works, and what to do where something does not."""
