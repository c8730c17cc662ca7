"""The extension in a real 3D Slicer: fetched, installed, tried and photographed by one command. Never run here yet."""
