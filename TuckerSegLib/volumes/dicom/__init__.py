"""DICOM: which files belong together, whether their frames form a volume, what their values mean; results of theirs."""
