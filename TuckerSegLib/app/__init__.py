"""TuckerSeg in a browser: 3D Slicer's views, the slider and the button, with a process for each user."""
