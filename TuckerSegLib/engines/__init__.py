"""The engines that run a network, and the choice of the fastest."""
