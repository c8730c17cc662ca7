"""What the user wants: parameters, models, packages, measurements."""
