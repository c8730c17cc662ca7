"""Benchmarks of speed: side by side in one run, medians over repetitions, on images as users have them."""
