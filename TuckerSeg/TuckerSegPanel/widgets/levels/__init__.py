"""What the slider's positions are worth: expected, compared with the original network, improved."""
