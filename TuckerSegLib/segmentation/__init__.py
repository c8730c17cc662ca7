"""Everything that can segment a volume: a request in, a segmentation out."""
