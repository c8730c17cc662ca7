"""What the page can do: one room a feature, with its state, its logic and its view."""
