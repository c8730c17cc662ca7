"""One network over one volume, as nnU-Net would run it."""
