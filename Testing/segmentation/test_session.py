"""One session serves many models, as a worker does for days: none gets the answer of another."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from pytest import fixture
from support.trained_folders import make_folder

from TuckerSegLib.models.cache import Cache
from TuckerSegLib.models.compressed import load, write
from TuckerSegLib.segmentation.compression import compress_to_file
from TuckerSegLib.segmentation.request import Request
from TuckerSegLib.segmentation.session import Session
from TuckerSegLib.volumes.volume import Geometry, Volume

SHAPE = (16, 17, 18)


@fixture
def image() -> Volume:
    voxels = np.random.default_rng(0).normal(0, 300, (1, *SHAPE)).astype(np.float32)
    return Volume(voxels, Geometry(SHAPE, np.diag([1.5, 1.5, 1.5, 1.0])))


@fixture
def models(tmp_path: Path) -> list[Path]:
    """A trained folder, a file compressed from it, and one of the same header with other weights."""
    folder = make_folder(tmp_path / "model", features=(16, 32), patch_size=(16, 16, 16))
    file = compress_to_file(str(folder), tmp_path / "small.tuckerseg", factor=0.3).path
    made, other = load(file), tmp_path / "other.tuckerseg"
    weights = [{name: 0.5 - 2 * weight for name, weight in fold.items()} for fold in made.load_weights()]
    write(replace(made, load_weights=lambda: weights), other)
    return [folder, file, other]


def test_a_model_and_the_files_made_from_it_are_told_apart(models: list[Path], image: Volume, tmp_path: Path) -> None:
    def labels(session: Session, model: Path) -> list[int]:
        return session.segment(image, Request(str(model), engine="torch")).label_map.labels.ravel().tolist()

    together = Session(Cache(tmp_path / "cache"))
    found = [labels(together, model) for model in models]
    assert found == [labels(Session(Cache(tmp_path / "cache")), model) for model in models]
    assert len({tuple(one) for one in found}) == len(models)
    assert len({together.check(Request(str(model))) for model in models}) == len(models)
