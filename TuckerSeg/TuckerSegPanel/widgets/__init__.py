"""What the panel shows: one file for each of its parts, and one that puts them together."""
