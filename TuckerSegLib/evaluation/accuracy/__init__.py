"""Studies: levels of a model on cases, with scores, tests, tables and a page."""
