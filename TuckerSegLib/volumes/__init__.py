"""Images and label maps: their voxels, geometry, names, files and place in a scene."""
