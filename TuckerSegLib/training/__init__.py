"""The training of compressed networks by nnU-Net's own loop, from labels or from the original's answers."""
