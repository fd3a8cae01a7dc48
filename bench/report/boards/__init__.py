"""The boards, one a file: what is compared, and how it is said."""
