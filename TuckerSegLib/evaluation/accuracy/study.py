"""What compression costs in accuracy: smaller networks over cases, beside the truth or the original network."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from ...engines.fastest import choice
from ...models.cache import Cache
from ...models.nnunet import TrainedModel
from ...progress import Progress
from ...segmentation.one_model import run
from ...segmentation.prepare import PreparedModel, prepare
from ...segmentation.recipes import ORIGINAL
from ...segmentation.slider.agreement import Expectations
from ...store import Store
from ...volumes.dice import mean_dice
from ...volumes.volume import LabelMap, Volume
from .baselines import Reduced
from .candidates import Candidate, original
from .cases import Case, check_grid
from .kept import Found, Kept, key_of
from .outcomes import Study, by_structure, outcome
from .scores import scores


def study(
    model: TrainedModel,
    cases: Sequence[Case],
    candidates: Sequence[Candidate],
    *,
    cache: Cache | None = None,
    step: float = 0.5,
    device: str = "auto",
    engine: str = "torch",
    kept: Path | None = None,
    expected: bool = False,
    progress: Progress | None = None,
) -> Study:
    """Segment every case with the original and every candidate, and compare with the truth.

    Args:
        step: how far the sliding window's patches lie apart, as a share of their size.
        kept: a folder for what is found of each case, which is not measured again from there.
        expected: whether the agreement that a candidate is said to have is measured as well, unless it is known.
        progress: told a stage for each case and candidate, under their names.

    Raises:
        InputError: an image or label map cannot be used, or a label map does not lie on its image's grid.
        OutputError: `kept` cannot be written to.
        Cancelled: `progress` was cancelled; what was found is kept.
    """
    progress = progress or Progress()
    networks = _Networks(model, [original(), *candidates], cache or Cache(), device, engine)
    measurements = _Measurements(networks, Kept(kept), step)
    rows = [measurements.of(case, progress.part(number, len(cases))) for number, case in enumerate(cases)]
    known = networks.expected_agreements(progress) if expected else [None] * len(networks.candidates)
    return _summary(networks, [case.name for case in cases], rows, known)


def _summary(
    networks: "_Networks", cases: Sequence[str], rows: Sequence[Sequence[Found]], known: Sequence[float | None]
) -> Study:
    """What the `rows` of all cases, with an entry for each candidate, come to."""
    model = networks.model
    columns = [
        {case: row[index] for case, row in zip(cases, rows, strict=True)} for index in range(len(networks.candidates))
    ]
    reference = by_structure(columns[0], model.labels)
    outcomes = [
        outcome(candidate, found, agreement, reference, model.labels)
        for candidate, found, agreement in zip(networks.candidates, columns, known, strict=True)
    ]
    return Study(model.name, list(cases), model.labels, outcomes)


class _Networks:
    """The candidates' networks, the original's first, each made when it is first needed."""

    def __init__(
        self, model: TrainedModel, candidates: Sequence[Candidate], cache: Cache, device: str, engine: str
    ) -> None:
        self.model, self.candidates, self.engine = model, candidates, engine
        self._cache = cache
        self._engines = choice(engine, device, Store(cache.folder))
        self._made: dict[int, tuple[PreparedModel, Reduced]] = {}

    def prepared(self, index: int) -> PreparedModel:
        return self.get(index)[0]

    def get(self, index: int) -> tuple[PreparedModel, Reduced]:
        if index not in self._made:
            reduced = self.candidates[index].method.reduced(self.model)
            prepared = prepare(reduced.model, ORIGINAL, self._engines, self._cache)
            self._made[index] = prepared, reduced
        return self._made[index]

    def expected_agreements(self, progress: Progress) -> list[float | None]:
        """The agreement that each candidate is said to have; the original agrees with itself."""
        found: list[float | None] = [1.0]
        expectations = Expectations(self.model, self._cache)
        for index, candidate in enumerate(self.candidates[1:], start=1):
            progress.stage(f"expected agreement, {candidate.title}")
            expected = expectations.measured(candidate.method.settings, partial(self.prepared, index))
            found.append(expected.agreement)
        return found


class _Measurements:
    """What every candidate's network makes of a case, measured unless it is kept."""

    def __init__(self, networks: _Networks, kept: Kept, step: float) -> None:
        self._networks, self._kept, self._step = networks, kept, step

    def of(self, case: Case, progress: Progress) -> list[Found]:
        """One entry a candidate, in their order."""
        networks = self._networks
        keys = [
            key_of(networks.model.fingerprint, case.name, one.method.settings, self._step, networks.engine)
            for one in networks.candidates
        ]
        found = self._kept.read(case.name)
        if not all(key in found for key in keys):
            self._measure(case, keys, found, progress)
        return [found[key] for key in keys]

    def _measure(self, case: Case, keys: Sequence[str], found: dict[str, Found], progress: Progress) -> None:
        """Add what is missing to `found`. The original always runs, for its label map."""
        image, truth = case.load()
        if truth:
            check_grid(case.name, image, truth)
        reference: LabelMap | None = None
        for index, (candidate, key) in enumerate(zip(self._networks.candidates, keys, strict=True)):
            if key in found and reference is not None:
                continue
            part = _under(f"{case.name}, {candidate.title}", progress.part(index, len(keys)))
            label_map, found[key] = self._run(index, image, truth, reference, part)
            reference = reference or label_map
            self._kept.write(case.name, found)

    def _run(
        self, index: int, image: Volume, truth: LabelMap | None, reference: LabelMap | None, progress: Progress
    ) -> tuple[LabelMap, Found]:
        """One network over one case; without a `reference`, it is the original itself."""
        prepared, reduced = self._networks.get(index)
        result = run(prepared, image, progress, self._step)
        reference = reference or result.label_map
        return result.label_map, Found(
            reduced.parameters,
            reduced.size,
            mean_dice(reference.labels, result.label_map.labels),
            sum(result.seconds.values()),
            scores(truth or reference, result.label_map),
        )


def _under(name: str, progress: Progress) -> Progress:
    """A run's progress, all of whose stages are told under one name."""
    progress.stage(name)
    return Progress(lambda event: progress.tell(replace(event, stage=name)), progress)
