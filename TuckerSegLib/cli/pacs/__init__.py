"""`tuckerseg pacs`: series from an archive and results back to it."""
