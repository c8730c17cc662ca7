"""Commands that measure: one thing at a time (`benchmark`), accuracy (`evaluate`), and all at once (`bench`)."""
