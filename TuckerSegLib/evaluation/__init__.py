"""What compression costs and gains: accuracy and speed, measured."""
