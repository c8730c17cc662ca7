"""Times taken on this computer: how, and what they hold for."""
