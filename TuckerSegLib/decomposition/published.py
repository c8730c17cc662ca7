"""The published downsampling factors, free of PyTorch, so that any process can list them."""

LEVELS = (1.0, 0.9, 0.7, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05)
"""The published downsampling factors, from most accurate to fastest: the positions of the slider."""
