"""Where networks come from: trained folders, compressed files, TotalSegmentator's tasks, the sample."""
