"""From a network's averaged answers to a label map, a few voxels at a time on the CPU, in slices on a GPU."""
