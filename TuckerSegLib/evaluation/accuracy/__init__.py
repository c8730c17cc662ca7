"""Studies of accuracy: smaller networks over cases, with scores, statistical tests, tables and a page."""
