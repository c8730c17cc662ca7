"""`tuckerseg phantom`: a CT to try things on, without a download and without a patient."""

from pathlib import Path
from typing import Annotated

import typer

from .options import Json


def phantom(
    output: Annotated[Path, typer.Argument(help="The CT: a .nii.gz or .nrrd file.")],
    truth: Annotated[
        Path | None, typer.Option(help="What is in it, as a segmentation or label map, in this file.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Another number gives another body.")] = None,
    as_json: Json = False,
) -> None:
    """Make a CT of a torso that is nobody's: computed, the same for the same seed, unseen by the samples."""
    from ..volumes.files import check_output, write_image, write_segmentation
    from ..volumes.phantoms.phantom import phantom as made_of
    from ..volumes.phantoms.seeds import DEMONSTRATION
    from . import console

    with console.json_alone(as_json):
        for path in filter(None, (output, truth)):
            check_output(path)
        made = made_of(DEMONSTRATION if seed is None else seed)
        write_image(made.image, output)
        if truth:
            write_segmentation(made.truth, truth)
    if as_json:
        shape = list(made.image.geometry.shape)
        console.write_json({"image": str(output), "truth": str(truth) if truth else None, "shape": shape})
        return
    print(f"{output}: {made.image}")
