"""One file an image: NIfTI, NRRD and MetaImage, read and written without ITK, whose parsers trust their headers."""
