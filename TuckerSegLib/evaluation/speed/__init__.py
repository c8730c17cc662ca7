"""What is measured, and how: side by side in one run, medians over repetitions, on the sizes users have."""
