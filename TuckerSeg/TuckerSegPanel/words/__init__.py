"""The words in which the panel says what is known."""
