"""Whatever can segment: a request in, a segmentation out."""
