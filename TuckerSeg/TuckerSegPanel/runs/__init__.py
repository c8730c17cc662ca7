"""What goes on: runs of the worker, step by step."""
