"""`tuckerseg cohort`: many scans, begun, watched, gone on with and looked at."""
