"""The list of what was found: shown or hidden, measured, flown to."""
