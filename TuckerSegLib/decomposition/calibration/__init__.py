"""Layers fitted to what the original network gives on a few images, without labels.

The original network runs over a few patches. What each convolution puts out at some voxels is kept, together with what
an error there does to the answer (`sensitivity`). Each layer tells what it would lose at which ranks
(`predicted_errors`), from which a `Budget` chooses them. Then the patches run through the network once more, and each
convolution is replaced when the run reaches it, so that it is fitted on what the layers before it, already compressed,
really feed it (`layer`). Layers that are left whole are fitted as well, because their inputs have changed.

Instance normalisation after a layer takes out whatever is left of a channel's shift and scale, so its own terms stay.
"""
