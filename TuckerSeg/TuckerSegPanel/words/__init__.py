"""The colours in which the panel says what is known."""
