"""The fused engine for NVIDIA's GPUs: half precision, channels last, narrow activations, one graph a patch."""
