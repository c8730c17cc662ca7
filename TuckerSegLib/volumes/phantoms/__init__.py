"""CT-like torso phantoms with their truth, the same for the same seed."""
