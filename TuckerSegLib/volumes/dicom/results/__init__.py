"""DICOM objects out: segmentations, structure sets and reports of a series that was read."""
