"""No level's answer goes out unchecked: how near it is to the original's is told, and what is poor is warned of."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from pytest import fixture, mark, raises
from support.trained_folders import make_folder

from TuckerSegLib.errors import InputError
from TuckerSegLib.inference.check.checked import POOR, Checked, worst
from TuckerSegLib.models.cache import Cache
from TuckerSegLib.segmentation.compression import compress_to_file
from TuckerSegLib.segmentation.request import Request
from TuckerSegLib.segmentation.result import Segmentation
from TuckerSegLib.segmentation.session import Session
from TuckerSegLib.volumes.dice import mean_dice
from TuckerSegLib.volumes.volume import Geometry, Volume
from TuckerSegLib.worker.protocol import segmentation_as_json, segmentation_of

SHAPE = (20, 22, 24)


@fixture(scope="module")
def session(tmp_path_factory: Any) -> Session:
    return Session(Cache(tmp_path_factory.mktemp("cache")))


@fixture(scope="module")
def model(tmp_path_factory: Any) -> str:
    return str(make_folder(tmp_path_factory.mktemp("model"), features=(16, 32), patch_size=(16, 16, 16)))


@fixture(scope="module")
def image() -> Volume:
    voxels = np.random.default_rng(0).normal(0, 300, (1, *SHAPE)).astype(np.float32)
    return Volume(voxels, Geometry(SHAPE, np.diag([1.5, 1.5, 1.5, 1.0])))


@fixture(scope="module")
def original(session: Session, model: str, image: Volume) -> Segmentation:
    return session.segment(image, Request(model, engine="torch"))


@mark.parametrize("options", [{}, {"exact_ranks": True}, {"fit_to_scan": True}], ids=str)
@mark.parametrize("factor", [0.5, 0.05])
def test_a_default_never_returns_what_its_own_check_calls_poor_without_saying_so(
    session: Session, model: str, image: Volume, factor: float, options: dict[str, Any]
) -> None:
    found = session.segment(image, Request(model, factor, engine="torch", **options))
    check = found.check
    assert check is not None and 0 < check.windows <= check.count and check.seconds > 0
    warned = [warning for warning in found.warnings if "may be wrong" in warning]
    assert bool(warned) == found.described.startswith("POOR") == (check.agreement < POOR)
    if warned:
        assert f"agreement {check.agreement:.2f}" in warned[0] and check.basis in warned[0]


def test_a_worthless_level_is_told_to_be_one(session: Session, model: str, image: Volume) -> None:
    found = session.segment(image, Request(model, 0.05, engine="torch", exact_ranks=True))
    assert found.check is not None and found.check.agreement < 0.5 and len(found.warnings) == 1


@mark.parametrize("factor", [0.5, 0.05])
def test_a_promise_makes_a_worthless_level_right(
    session: Session, model: str, image: Volume, original: Segmentation, factor: float
) -> None:
    found = session.segment(image, Request(model, factor, engine="torch", at_least=0.95))
    assert found.check is not None and found.check.low >= 0.95 and not found.warnings
    assert mean_dice(original.label_map.labels, found.label_map.labels, 1000 / 1.5**3) >= 0.95


def test_the_original_is_not_checked_against_itself(original: Segmentation) -> None:
    assert original.check is None and not original.warnings


def test_published_ranks_give_the_published_answer_and_are_checked_all_the_same(
    session: Session, model: str, image: Volume, tmp_path: Path
) -> None:
    found = session.segment(image, Request(model, 0.3, engine="torch", exact_ranks=True))
    file = compress_to_file(model, tmp_path / "small.tuckerseg", factor=0.3).path
    alone = session.segment(image, Request(str(file), engine="torch"))
    assert found.check is not None and found.check.windows and alone.check is None
    np.testing.assert_array_equal(found.label_map.labels, alone.label_map.labels)


def test_nothing_is_promised_of_a_file_without_its_original(
    session: Session, model: str, image: Volume, tmp_path: Path
) -> None:
    file = compress_to_file(model, tmp_path / "small.tuckerseg", factor=0.3).path
    with raises(InputError, match="comes without its original"):
        session.segment(image, Request(str(file), engine="torch", at_least=0.9))


@mark.parametrize("value", [0, -0.5, 1.01])
def test_an_agreement_that_is_none_is_refused(value: float) -> None:
    with raises(InputError, match="choose one up to 1"):
        Request(at_least=value)


def test_what_was_found_out_survives_the_way_through_the_worker(original: Segmentation) -> None:
    checks = {"one": Checked(0.97, 0.95, 0.98, 2, 9, 1.5), "other": Checked(0.8, 0.7, 0.9, 3, 27, 2.0)}
    told = Segmentation(**{**vars(original), "checks": checks})
    again = segmentation_of(told.label_map, json.loads(json.dumps(segmentation_as_json(told))))
    assert again.checks == checks and again.described == told.described
    assert again.check == worst(checks.values()) == Checked(0.8, 0.7, 0.9, 5, 36, 3.5)
