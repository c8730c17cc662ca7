"""Ranks tuned to this computer: no layer slower than it was, and none more compressed than its speed is worth.

A decomposed layer is not always faster: narrow convolutions use a processor badly. So each layer takes, of its dense
form and its decompositions at no less than the published ranks, the fastest; of those as fast, the most accurate.
"""

from collections.abc import Sequence

from ..decomposition.counting import convolutions, input_shapes
from ..decomposition.policies import Chosen, RankPolicy, Relative, is_smaller
from ..decomposition.published import LEVELS
from ..decomposition.tucker import Convolution, Ranks
from ..models.nnunet import TrainedModel
from ..progress import Progress
from .layer_times import LayerTimes

_FORMAT = 1
"""Changes when ranks should be chosen anew."""

_MULTIPLES = (1, 8, 16)
"""Ranks are tried as they are and rounded up to these: processors take so many numbers at a time."""

_AS_FAST = 1.02
"""Times that differ less are the same."""


def tuned_once(
    model: TrainedModel, published: Relative, times: LayerTimes, progress: Progress | None = None
) -> RankPolicy:
    """As `tuned`, and as it was the first time: what times decided on one day, those of another may decide otherwise.

    Raises:
        Cancelled: `progress` was cancelled.
    """
    what = f"ranks {_FORMAT} {model.fingerprint} {model.patch_size} {dict(published.settings)}"
    kept = times.choice(what)
    if kept is None:
        found = tuned(model, published, times, progress)
        kept = times.choose(what, {"ranks": dict(found.ranks) if isinstance(found, Chosen) else {}})
    ranks = {name: Ranks(*pair) for name, pair in kept["ranks"].items()}
    return Chosen(ranks, published.settings) if ranks else Relative(1.0)


def tuned(
    model: TrainedModel,
    published: Relative,
    times: LayerTimes,
    progress: Progress | None = None,
) -> RankPolicy:
    """The level as this computer runs it best; the original network where no layer gains.

    Where a layer has been timed at the levels above, it may also take what it could take there: none is slower then.
    `progress` is told of the stage "measure" where layers have to be measured.

    Raises:
        Cancelled: `progress` was cancelled.
    """
    progress = progress or Progress()
    network = model.network_without_data()
    layers = convolutions(network)
    shapes = input_shapes(network, (model.num_input_channels, *model.patch_size))
    above = [Relative(level, published.minimum).choose(layers) for level in LEVELS if published.factor < level < 1]
    wanted = published.choose(layers)
    best = {}
    for done, (name, layer) in enumerate(layers.items()):
        known = [r for level in above for r in _options(layer, level[name]) if times.is_known(layer, shapes[name], r)]
        forms: list[Ranks | None] = [None, *sorted({*_options(layer, wanted[name]), *known}, reverse=True)]
        if not all(times.is_known(layer, shapes[name], form) for form in forms):
            progress.stage("measure")
            progress.step(done, len(layers))
        best[name] = _best(layer, shapes[name], forms, times)
    times.keep()
    ranks = {name: found for name, found in best.items() if found}
    return Chosen(ranks, published.settings) if ranks else Relative(1.0)


def _options(layer: Convolution, published: Ranks) -> set[Ranks]:
    """The decomposed forms that a layer may take at a level: those with fewer parameters than it has."""
    forms = {_rounded_up(layer, published, multiple) for multiple in _MULTIPLES}
    return {form for form in forms if is_smaller(layer, form)}


def _rounded_up(layer: Convolution, ranks: Ranks, multiple: int) -> Ranks:
    out, into = (-(-rank // multiple) * multiple for rank in ranks)
    return Ranks(min(out, layer.out_channels), min(into, layer.in_channels))


def _best(layer: Convolution, shape: tuple[int, ...], forms: Sequence[Ranks | None], times: LayerTimes) -> Ranks | None:
    """The most accurate of the fastest `forms`, of which None is the layer as it is."""
    times.measure(layer, shape, forms)
    seconds = [times.seconds(layer, shape, form) for form in forms]
    limit = min(seconds) * _AS_FAST
    return next(form for form, taken in zip(forms, seconds, strict=True) if taken <= limit)
