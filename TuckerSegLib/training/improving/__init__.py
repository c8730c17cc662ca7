"""All levels of a network trained in turns from the original's answers: no labels, and no end to wait for."""
