"""DICOM series in: which files belong together, whether their frames form a volume, and what their values mean."""
