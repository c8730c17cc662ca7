"""Levels that were trained, after they had been made, to answer as the original does: shipped, or trained here."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ...decomposition.frontier import RanksByName, Trained, digest_of
from ...decomposition.tucker import Ranks
from ...models.cache import Cache
from ...models.sample import shipped
from ...volumes.output import make_folder, whole_file

FOLDER = "trained"
"""Beside a model that was shipped, and below the cache's folder, where no limit of the cache removes them."""

_FORMAT = "tuckerseg trained level 1"


@dataclass(frozen=True)
class TrainedLevel:
    """A level of the network whose weights have the digest `network`.

    `left` is the share of the divergence from the original, on images that it was not trained on, that training left; 1
    where a level was only made beforehand, to be shipped with a sample.
    """

    network: str
    ranks: RanksByName
    left: float
    file: Path


class TrainedLevels:
    """All trained levels that this computer has, in half precision."""

    def __init__(self, cache: Cache) -> None:
        self._own = cache.folder / FOLDER
        self._folders = (self._own, *shipped(FOLDER))

    def of(self, network: str) -> list[TrainedLevel]:
        """The levels of the network with this digest, one for each choice of ranks: the best."""
        best: dict[str, TrainedLevel] = {}
        for folder in self._folders:
            for file in sorted(folder.glob(f"{network[:16]}-*.safetensors")):
                found = _described(file)
                name = file.name
                if found and found.network == network and (name not in best or found.left < best[name].left):
                    best[name] = found
        return list(best.values())

    def at(self, network: str, ranks: RanksByName) -> TrainedLevel | None:
        """The level at these ranks; None where none was trained."""
        name = _name(network, ranks)
        return next((level for level in self.of(network) if level.file.name == name), None)

    def weights(self, network: str, ranks: RanksByName) -> dict[str, Tensor] | None:
        """The weights of the level at these ranks, by their names; None where none was trained."""
        found = self.at(network, ranks)
        if found is None:
            return None
        with safe_open(found.file, "pt") as file:
            return {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118

    def choices(self, network: str) -> list[Trained]:
        """What the choice of positions needs to know of them."""
        return [Trained(level.ranks, level.left) for level in self.of(network)]

    def keep(self, network: str, ranks: RanksByName, level: nn.Module, left: float) -> None:
        """Keep a level on this computer.

        Raises:
            OutputError: it cannot be written.
        """
        make_folder(self._own)
        told = {"format": _FORMAT, "network": network, "ranks": json.dumps(ranks), "left": repr(left)}
        half = {name: weight.detach().to(torch.half).contiguous() for name, weight in level.named_parameters()}
        with whole_file(self._own / _name(network, ranks)) as partial:
            save_file(half, partial, told)


def _name(network: str, ranks: RanksByName) -> str:
    return f"{network[:16]}-{digest_of(ranks)}.safetensors"


def _described(file: Path) -> TrainedLevel | None:
    """What a file says of itself; None for one of another version or damaged."""
    try:
        with safe_open(file, "pt") as opened:
            told: Mapping[str, str] = opened.metadata() or {}
        if told.get("format") != _FORMAT:
            return None
        ranks = {name: Ranks(*pair) for name, pair in json.loads(told["ranks"]).items()}
        return TrainedLevel(told["network"], ranks, float(told["left"]), file)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None
