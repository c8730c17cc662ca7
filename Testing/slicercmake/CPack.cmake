# Packaging needs nothing more than the install rules.
