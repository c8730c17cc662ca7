"""What the panel shows, and the words it says it in."""
