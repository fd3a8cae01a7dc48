"""Boards as text, Markdown, a page, figures and files of data."""
