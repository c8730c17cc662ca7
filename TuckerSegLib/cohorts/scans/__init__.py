"""The scans of a cohort: found in folders and tables, and known again; and the table of what was measured in them."""
