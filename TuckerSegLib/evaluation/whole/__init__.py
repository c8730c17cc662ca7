"""The whole benchmark at once: one patch, file to file and accuracy, as rows that a second person can compare."""
