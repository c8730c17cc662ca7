"""The tasks of TotalSegmentator as its own tables describe them, and their weights."""
