"""The image: the phantom, a file or a DICOM series that the user sends."""
