"""The tasks of TotalSegmentator on a volume in memory, with the same labels, at any level of compression."""
