"""Two positions of the slider side by side."""
