"""Builders of what the lab's site mirror serves; one artifact a file, each cached by content."""
