"""How good a compressed network's answer for one scan is, and the original where it is not good enough."""
