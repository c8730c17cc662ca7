"""Lists of the panel that need more than Qt gives them: what this computer has, models, structures."""
