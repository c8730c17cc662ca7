"""Benchmarks of speed: side by side in one run, medians over repetitions, on images of the sizes that users have."""
