"""TotalSegmentator's tasks on a volume in memory: the same steps and labels, at any level of compression."""
