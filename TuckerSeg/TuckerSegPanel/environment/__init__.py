"""The Python that the worker runs in: TuckerSeg's own, 3D Slicer's, or any other."""
