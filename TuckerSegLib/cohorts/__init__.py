"""Many scans on many workers: nothing lost, nothing twice, whatever is killed meanwhile."""
