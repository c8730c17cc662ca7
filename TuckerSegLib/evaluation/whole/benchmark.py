"""The benchmark in one go, within the minutes that it is given: every part reuses the measurement that stands alone."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ...models.opening import open_model
from ...models.sample import SAMPLE, sample_names
from ...progress import Progress
from ...volumes.files import write_image
from ...volumes.phantoms.phantom import phantom
from ...volumes.phantoms.seeds import FRONTIER, STUDIES
from ..accuracy.candidates import candidates
from ..accuracy.cases import Case, image_alone, phantoms
from ..accuracy.outcomes import Study
from ..accuracy.study import study
from ..speed import file_to_file, one_patch
from ..speed.runtimes.others import installed_others
from .rows import Row, of_files, of_one_patch, of_study

FACTORS = (0.5, 0.3, 0.1)

_SHARES = (0.25, 0.65)
"""Of the time, until when the first and the second part may begin another round."""

_MOST_CASES = 6


@dataclass(frozen=True)
class Settings:
    """What is measured.

    Attributes:
        model: a sample, a task of TotalSegmentator's that is one network, or a trained folder.
        factors: positions of the slider, beside the original network.
        image: what is segmented from file to file; a phantom where it is None.
        minutes: no further round or case is begun that would end later. The first of each part always runs.
        repeats: rounds of the timed parts at most.
    """

    model: str = SAMPLE
    factors: Sequence[float] = FACTORS
    image: Path | None = None
    minutes: float = 10.0
    repeats: int = 5


def benchmark(settings: Settings = Settings(), progress: Progress | None = None) -> list[Row]:
    """All rows: the stock program comes first in each part.

    Raises:
        TuckerSegError: the model, a factor or the image cannot be used, or a program fails.
        Cancelled: `progress` was cancelled, before the next run.
    """
    progress, begun = progress or Progress(), time.monotonic()
    first, second, end = (begun + 60 * settings.minutes * share for share in (*_SHARES, 1.0))
    with _image(settings) as image:
        options = one_patch.Options(settings.repeats, "position", errors=False, beside=installed_others(), until=first)
        factors = [1.0, *settings.factors]
        patches = one_patch.network(settings.model, factors, options, progress.part(0, 3))
        files = file_to_file.pipeline(
            settings.model, image, factors, settings.repeats, progress.part(1, 3), until=second
        )
        accuracy = _accuracy(settings, image, end, progress.part(2, 3))
    return [*of_one_patch(patches), *of_files(files), *of_study(accuracy)]


@contextmanager
def _image(settings: Settings) -> Iterator[Path]:
    if settings.image:
        yield settings.image
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "phantom.nii.gz"
        write_image(phantom(STUDIES[0]).image, path)
        yield path


def _accuracy(settings: Settings, image: Path, end: float, progress: Progress) -> Study:
    """As many cases as there is time for; what was found of the first is not measured again."""
    model = open_model(settings.model)
    compared = candidates(["position"], model, settings.factors, [])
    cases = _cases(settings, image)
    with tempfile.TemporaryDirectory() as kept:
        begun = time.monotonic()
        found = study(model, cases[:1], compared, engine="auto", kept=Path(kept), progress=progress.part(0, 2))
        each = time.monotonic() - begun
        more = min(len(cases), 1 + int((end - time.monotonic()) / each))
        if more > 1:
            found = study(model, cases[:more], compared, engine="auto", kept=Path(kept), progress=progress.part(1, 2))
    return found


def _cases(settings: Settings, image: Path) -> list[Case]:
    """Phantoms with their truth for the samples, which know their structures; else the image beside the original."""
    if settings.model in sample_names():
        return phantoms(FRONTIER[0], FRONTIER[_MOST_CASES - 1])
    return [image_alone(image)]
