"""What a study compares with the original network: rank policies, other methods of the field, and networks in files."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from torch import Tensor

from ...decomposition.calibration.calibrated import Calibrated
from ...decomposition.policies import Policy, Relative, Settings
from ...engines.fastest import choice
from ...errors import InputError
from ...inference.patches import patches_of
from ...models.cache import Cache
from ...models.nnunet import TrainedModel, digest
from ...models.opening import open_model
from ...segmentation.named_policies import policy_of
from ...segmentation.recipes import Balanced
from ...store import Store
from ...volumes.sources import volumes_of
from .baselines import Canonical, EightBit, Pruned, Reduced

FITTED = "+data"
"""Ends the name of a policy whose layers are fitted on images."""


class Method(Protocol):
    """A way to make a model smaller."""

    def reduced(self, model: TrainedModel) -> Reduced:
        """The smaller model, and what it takes."""
        ...

    @property
    def settings(self) -> Settings:
        """The method's name under "policy" and all its settings; equal settings mean equal weights."""
        ...


@dataclass(frozen=True)
class Candidate:
    """A method under the name that it has in the tables, with its factor if it has one."""

    name: str
    factor: float | None
    method: Method

    @property
    def title(self) -> str:
        """The name and the factor."""
        return self.name if self.factor is None else f"{self.name} {self.factor:g}"


@dataclass(frozen=True)
class ByPolicy:
    """Tucker decomposition at the ranks of a policy, kept in the cache."""

    policy: Policy
    cache: Cache = field(default_factory=Cache)

    def reduced(self, model: TrainedModel) -> Reduced:
        return Reduced.whole(self.cache.compressed(model, self.policy)[0])

    @property
    def settings(self) -> Settings:
        return self.policy.settings


@dataclass(frozen=True)
class InFile:
    """A network that was compressed, and perhaps trained, before; its weights are part of its settings."""

    model: TrainedModel
    settings: Settings

    def reduced(self, _: TrainedModel) -> Reduced:
        return Reduced.whole(self.model)


def original() -> Candidate:
    """The network that nothing is done to."""
    return Candidate("original", 1.0, ByPolicy(Relative(1.0)))


def candidates(
    names: Sequence[str], model: TrainedModel, factors: Sequence[float], images: Sequence[str]
) -> list[Candidate]:
    """Each of the methods called `names`, at each of `factors` unless it has none; `images` are what `FITTED` fits on.

    Raises:
        InputError: the model is compressed already, there is no such method, or an image or factor cannot be used.
    """
    if model.compression is not None:
        raise InputError(f"{model.name} is compressed already: evaluate the original model.")
    fitted = any(name.endswith(FITTED) for name in names)
    patches = patches_of(model, volumes_of(images)) if fitted else None
    found = []
    for name in names:
        if name == EightBit.name:
            found.append(Candidate(name, 1.0, EightBit()))
        else:
            found += [Candidate(name, factor, _method(name, model, factor, patches)) for factor in factors]
    return found


def candidates_in(files: Sequence[Path], model: TrainedModel, taken: Sequence[str]) -> list[Candidate]:
    """The compressed networks in `.tuckerseg` files, under the files' names, which must differ from those `taken`.

    Raises:
        ModelError: a file cannot be read.
        InputError: one was not made from `model`, or two candidates would have the same name.
    """
    names = [*taken, *(file.stem for file in files)]
    twice = [name for number, name in enumerate(names) if name in names[:number] and number >= len(taken)]
    if twice:
        raise InputError(f"There are two networks called {twice[0]}: rename the file.")
    return [_in_file(file, model) for file in files]


POSITION, UNTRAINED = "position", "untrained"
"""What the slider runs by default, and the same without the levels that were trained further."""


def _at_position(model: TrainedModel, factor: float, trained: bool) -> ByPolicy:
    cache = Cache()
    recipe = Balanced(Relative(factor), cache, trained=trained)
    return ByPolicy(recipe.policy(model, choice("auto", "auto", Store(cache.folder))), cache)


def _method(name: str, model: TrainedModel, factor: float, patches: Tensor | None) -> Method:
    baselines: dict[str, type[Pruned] | type[Canonical]] = {Pruned.name: Pruned, Canonical.name: Canonical}
    if name in baselines:
        return baselines[name](factor)
    if name in (POSITION, UNTRAINED):
        return _at_position(model, factor, name == POSITION)
    policy = policy_of(name.removesuffix(FITTED), model, factor=factor)
    return ByPolicy(Calibrated(policy, patches) if name.endswith(FITTED) and patches is not None else policy)


def _in_file(file: Path, model: TrainedModel) -> Candidate:
    found = open_model(file)
    if found.compression is None or found.fingerprint != model.fingerprint:
        raise InputError(f"{file} was not made from {model.name}: name a .tuckerseg file that was.")
    recorded = dict(found.compression.policy)
    factor = recorded.get("factor")
    weights = " ".join(digest(fold) for fold in found.load_weights())
    method = InFile(found, {**recorded, "weights": weights})
    return Candidate(file.stem, None if factor is None else float(factor), method)
