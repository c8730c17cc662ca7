"""TotalSegmentator's tasks as its own tables describe them, and their weights."""
