"""A cohort on one page that needs nothing else: volumes, unusual scans, failures, seconds and agreement."""
