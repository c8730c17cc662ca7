"""Training a compressed network: nnU-Net's own loop, with labels or from the original network's answers."""
