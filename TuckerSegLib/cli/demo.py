"""The main job on a scan that needs no download: a phantom CT into a real MRML scene, by nnU-Net and at four levels."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..errors import OutputError
from ..models.sample import SAMPLE, sample_model_folder
from ..progress import Progress
from ..segmentation.request import Request
from ..segmentation.result import Segmentation
from ..segmentation.session import Session
from ..volumes.dice import Labels, mean_dice
from ..volumes.files import read_volume
from ..volumes.formats.nrrd import write_nrrd
from ..volumes.output import make_folder, whole_file
from ..volumes.phantoms.phantom import phantom
from ..volumes.phantoms.seeds import DEMONSTRATION
from ..volumes.terminology import style
from ..volumes.volume import LabelMap, Volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from slicer import vtkMRMLScalarVolumeNode, vtkMRMLScene

Cut = tuple[int | slice, ...]

LEVELS = (1.0, 0.5, 0.3, 0.1)

_WINDOW = (-160, 240)
"""The soft-tissue window, in Hounsfield units."""

_COLUMN = 3.1
"""Inches that a column of the picture is wide."""


@dataclass(frozen=True)
class LevelOutcome:
    """One level on the phantom: mean Dice with the truth, and with the original network's labels (agreement)."""

    factor: float
    dice: float
    agreement: float
    predicted: float | None
    """The agreement that was told with the result, from a look at a few patches; None where the original ran."""
    making: float
    """Seconds until the level was there: made, or read from the cache."""
    seconds: float
    """Seconds from the CT's file to the segmentation's, once the level is there."""
    times_faster: float
    """Than nnU-Net, from file to file as well."""
    parameters: int
    cache_hit: bool


@dataclass(frozen=True)
class ByNnunet:
    """The original network run by nnU-Net's own predictor, which loaded it before: seconds from file to file.

    `dice` is with the truth, `agreement` with what the same network gives here.
    """

    seconds: float
    dice: float
    agreement: float


@dataclass(frozen=True)
class Outcome:
    """What the demo measured and where it put its files."""

    folder: Path
    picture: Path
    nnunet: ByNnunet
    levels: tuple[LevelOutcome, ...]

    def as_json(self) -> dict[str, object]:
        return {
            "folder": str(self.folder),
            "picture": str(self.picture),
            "nnunet": asdict(self.nnunet),
            "levels": [asdict(level) for level in self.levels],
        }

    def rows(self) -> list[tuple[str, ...]]:
        """A row of text for nnU-Net and for each level."""
        stock, whole = self.nnunet, f"{self.levels[0].parameters:,}"
        first = ("nnU-Net", f"{stock.seconds:.1f}", "1.0", f"{stock.dice:.3f}", f"{stock.agreement:.3f}", "", "", whole)
        return [first, *map(_row, self.levels)]


def _row(level: LevelOutcome) -> tuple[str, ...]:
    return (
        f"{level.factor:g}",
        f"{level.seconds:.1f}",
        f"{level.times_faster:.1f}",
        f"{level.dice:.3f}",
        f"{level.agreement:.3f}",
        "" if level.predicted is None else f"{level.predicted:.3f}",
        f"{level.making:.1f} s",
        f"{level.parameters:,}",
    )


def run(folder: Path, progress: Progress | None = None) -> Outcome:
    """Segment the phantom by nnU-Net and at every level; write the CT, a `.seg.nrrd` a level, a picture into `folder`.

    Raises:
        OutputError: the folder cannot be made, or the packages for the scene and the picture are missing.
    """
    _check_packages()
    from ..decomposition.counting import count_parameters
    from ..volumes.scene import headless_scene, volume_from_node

    make_folder(folder)
    sample, scene = phantom(DEMONSTRATION), headless_scene()
    node = _add_volume(scene, sample.image, folder / "ct.nrrd")
    session, progress = Session(), progress or Progress()
    progress.stage("nnunet")
    stock, theirs = _by_nnunet(folder / "ct.nrrd")
    original = count_parameters(session.model(SAMPLE).network_without_data())
    found, outcomes = [], []
    for number, factor in enumerate(LEVELS):
        begun = time.perf_counter()
        volume = volume_from_node(_read(scene, folder / "ct.nrrd"))
        found.append(session.segment(volume, Request(SAMPLE, factor), progress.part(number, len(LEVELS))))
        label_maps = [segmentation.label_map for segmentation in found]
        _keep(label_maps[-1], node, folder / f"factor_{factor:g}.seg.nrrd")
        seconds = time.perf_counter() - begun - found[-1].seconds["load"]
        parameters = round(original * (1 - found[-1].parameters_removed))
        outcomes.append(_outcome(factor, parameters, found[-1], sample.truth, label_maps[0], seconds, stock))
    picture = folder / "levels.png"
    draw(sample.image, sample.truth, label_maps, outcomes, picture)
    nnunet = ByNnunet(stock, mean_dice(sample.truth.labels, theirs), mean_dice(label_maps[0].labels, theirs))
    return Outcome(folder, picture, nnunet, tuple(outcomes))


def draw(
    image: Volume, truth: LabelMap, label_maps: Sequence[LabelMap], outcomes: Sequence[LevelOutcome], path: Path
) -> None:
    """A PNG with a coronal and an axial slice, a column for the truth and one for each level, structures outlined."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = [("Truth", truth)] + [
        (f"{_title(o.factor)}: {o.times_faster:.1f} times faster\nDice {o.dice:.3f}, agreement {o.agreement:.3f}", m)
        for o, m in zip(outcomes, label_maps, strict=True)
    ]
    slices = [_coronal(truth), _axial(truth)]
    heights = [_height(image, cut, aspect) for cut, aspect in slices]
    figure, axes = pyplot.subplots(
        len(slices),
        len(columns),
        figsize=(_COLUMN * len(columns), _COLUMN * sum(heights) + 0.6),
        height_ratios=heights,
        facecolor="black",
    )
    for axis, (title, _) in zip(axes[0], columns, strict=True):
        axis.set_title(title, color="white", fontsize=10)
    for row, (cut, aspect) in zip(axes, slices, strict=True):
        for axis, (_, label_map) in zip(row, columns, strict=True):
            axis.imshow(image.voxels[0][cut], cmap="gray", vmin=_WINDOW[0], vmax=_WINDOW[1], aspect=aspect)
            _outline(axis, label_map.labels[cut], label_map)
            axis.set_axis_off()
    figure.tight_layout(pad=0.4)
    figure.savefig(path, dpi=110, facecolor="black")
    pyplot.close(figure)


def _title(factor: float) -> str:
    return "Original" if factor == 1 else f"Factor {factor:g}"


def _height(image: Volume, cut: Cut, aspect: float) -> float:
    """How high a slice is, in its own widths."""
    rows, columns = image.voxels[0][cut].shape
    return float(rows * aspect / columns)


def _axial(truth: LabelMap) -> tuple[Cut, float]:
    """Through the middle of the pancreas, or of the volume; patient's right on the left, front at the top."""
    k = _middle(truth, "pancreas", 0)
    spacing = truth.geometry.spacing
    return (k, slice(None), slice(None)), spacing[1] / spacing[0]


def _coronal(truth: LabelMap) -> tuple[Cut, float]:
    """Through the middle of the liver; patient's right on the left, head at the top."""
    j = _middle(truth, "liver", 1)
    spacing = truth.geometry.spacing
    return (slice(None, None, -1), j, slice(None)), spacing[2] / spacing[0]


def _middle(truth: LabelMap, name: str, axis: int) -> int:
    label = next((value for value, known in truth.names.items() if known == name), 0)
    found = np.nonzero(truth.labels == label)[axis]
    return int(np.median(found)) if len(found) else truth.labels.shape[axis] // 2


def _outline(axis: "Axes", labels: npt.NDArray[np.unsignedinteger], label_map: LabelMap) -> None:
    for label in np.unique(labels[labels > 0]):
        color = style(label_map.names.get(int(label), str(label))).color
        axis.contour(labels == label, levels=[0.5], colors=[color], linewidths=0.9)


def _outcome(
    factor: float,
    parameters: int,
    result: Segmentation,
    truth: LabelMap,
    original: LabelMap,
    seconds: float,
    stock: float,
) -> LevelOutcome:
    labels = result.label_map.labels
    return LevelOutcome(
        factor,
        mean_dice(truth.labels, labels),
        mean_dice(original.labels, labels),
        result.check.agreement if result.check else None,
        result.seconds["load"],
        seconds,
        stock / seconds,
        parameters,
        result.cache_hit,
    )


def _by_nnunet(image: Path) -> tuple[float, Labels]:
    """Seconds from file to file, and the labels (K, J, I)."""
    from ..evaluation.speed.stock_programs import by_nnunet

    with TemporaryDirectory() as folder:  # it writes more than its result there
        output = Path(folder) / "nnunet.nrrd"
        seconds = by_nnunet(sample_model_folder(), image, output)
        return seconds, read_volume([output]).voxels[0].astype(np.uint8)


def _add_volume(scene: "vtkMRMLScene", image: Volume, path: Path) -> "vtkMRMLScalarVolumeNode":
    """The phantom as a volume node of the scene, and as the file the node is stored in."""
    with whole_file(path) as partial:
        write_nrrd(image.voxels[0], image.geometry, partial)
    return _read(scene, path)


def _read(scene: "vtkMRMLScene", path: Path) -> "vtkMRMLScalarVolumeNode":
    """The volume in a file as a node of the scene."""
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Phantom CT")
    storage = scene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
    storage.SetFileName(str(path))
    if not storage.ReadData(node):
        raise OutputError(f"{path} could not be read back: see whether the disk is full.")
    node.SetAndObserveStorageNodeID(storage.GetID())
    return node


def _keep(label_map: LabelMap, node: "vtkMRMLScalarVolumeNode", path: Path) -> None:
    from ..volumes.scene import save_segmentation, show_label_map

    save_segmentation(show_label_map(label_map, node), path)


def _check_packages() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("slicer", "matplotlib") if find_spec(name) is None]
    if missing:
        raise OutputError("The demo needs more packages: install them with pip install 'tuckerseg[scene]'.")
