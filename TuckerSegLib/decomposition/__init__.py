"""The Tucker decomposition of layers and networks, and the policies that choose its ranks."""
