"""What lies on this computer: the Python that runs networks, weights, prepared networks; installed and removed."""
