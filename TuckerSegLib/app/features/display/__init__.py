"""How things look: window, opacity, which views, light or dark."""
