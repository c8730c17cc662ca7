"""Patches over an image: where they lie, what networks answer there, and how the answers are added up."""
