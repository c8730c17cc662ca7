"""Whether two networks differ over several cases: paired tests, corrected for their number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata, wilcoxon


@dataclass(frozen=True)
class Difference:
    """A paired comparison over cases: the mean difference, p before and after Holm's correction, and the effect.

    `effect` is the matched-pairs rank-biserial correlation, -1 (always lower) to 1 (Kerby, Compr. Psychol. 3, 2014).
    """

    cases: int
    mean: float
    p: float
    corrected: float
    effect: float


def differences(original: Mapping[str, Sequence[float]], other: Mapping[str, Sequence[float]]) -> dict[str, Difference]:
    """Wilcoxon's signed-rank test of each structure, two-sided, with Holm's correction (Scand. J. Stat. 6, 1979).

    The values of a structure are those of the same cases in the same order.
    """
    tests = {name: _signed_rank(np.subtract(other[name], original[name])) for name in original}
    corrected = holm([p for p, _ in tests.values()])
    return {
        name: Difference(
            len(original[name]), float(np.mean(np.subtract(other[name], original[name]))), p, adjusted, effect
        )
        for (name, (p, effect)), adjusted in zip(tests.items(), corrected, strict=True)
    }


def holm(values: Sequence[float]) -> list[float]:
    """p values corrected for their number, in the same order."""
    order = np.argsort(values)
    adjusted = np.asarray(values, np.float64)[order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(adjusted), 1.0)
    return [float(p) for p in corrected]


def smallest_p(cases: int) -> float:
    """The smallest p that the two-sided signed-rank test can give for so few cases."""
    return min(1.0, 2.0 ** (1 - cases))


def _signed_rank(change: npt.NDArray[np.float64]) -> tuple[float, float]:
    """p and effect; cases without a change are left out."""
    change = change[np.abs(change) > 1e-12]
    if not len(change):
        return 1.0, 0.0
    ranks = rankdata(np.abs(change))
    effect = float((ranks * np.sign(change)).sum() / ranks.sum())
    return float(wilcoxon(change).pvalue), effect
