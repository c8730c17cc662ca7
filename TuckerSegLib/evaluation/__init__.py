"""What compression costs and gains: measurements of accuracy and speed."""
