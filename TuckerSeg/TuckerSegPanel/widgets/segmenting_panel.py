"""What *Segment* does: downloads the model's weights where they are missing, else segments."""

from collections.abc import Callable
from typing import Any

import slicer
from slicer.i18n import tr as _

from ..choices import models
from ..choices.scene_choices import SceneChoices
from ..logic import TuckerSegLogic
from ..runs.download import download
from ..runs.segmenting import Outcome
from ..scene import sequences
from ..words import wording
from .run_panel import RunPanel


class SegmentingPanel:
    """`weights_arrived` is called once a download has ended."""

    def __init__(
        self, logic: TuckerSegLogic, choices: SceneChoices, runs: RunPanel, weights_arrived: Callable[[], None]
    ) -> None:
        self._logic, self._choices, self._runs = logic, choices, runs
        self._weights_arrived = weights_arrived

    def begin(self) -> None:
        task = models.task_to_download(self._choices.chosen.model)
        if task is not None:
            self._offer_download(task)
        else:
            self._segment()

    def _offer_download(self, task: Any) -> None:
        question = _(
            "The weights of {task} are not on this computer. Download {count} networks from TotalSegmentator's pages "
            "now? Nothing is sent but the request for these files."
        ).format(task=task.name, count=len(task.all_networks()))
        if slicer.util.confirmYesNoDisplay(question, _("TuckerSeg")):
            self._runs.start(download(task), None, self._on_downloaded)

    def _on_downloaded(self, _nothing: Any) -> None:
        self._runs.say(_("The weights were downloaded: press Segment"))
        self._weights_arrived()

    def _segment(self) -> None:
        chosen, request = self._choices.chosen, self._choices.request
        all_frames = chosen.all_frames and sequences.browser_of(chosen.volume) is not None
        steps = self._logic.segmenting.segment_frames if all_frames else self._logic.segmenting.segment
        self._runs.note(
            _("Segmenting {volume} with {model} at DF {factor:g}").format(
                volume=chosen.volume.GetName(), model=models.model_of(chosen.model).title, factor=request.factor
            )
        )
        run = steps(chosen.volume, chosen.segmentation, request, chosen.standard_names)
        self._runs.start(run, chosen.volume, self._on_segmented)

    def _on_segmented(self, outcome: Outcome) -> None:
        finished = outcome.finished
        for warning in finished.warnings:
            self._runs.note(warning)
        if finished.parameters_removed:
            self._runs.note(wording.outcome(finished.parameters_removed, finished.layers_kept))
        text = wording.finished(
            outcome.segmentation.GetSegmentation().GetNumberOfSegments(),
            sum(finished.seconds.values()),
            finished.engine,
            finished.cache_hit,
        )
        # The result belongs to the volume that was segmented, whatever was chosen since.
        if self._choices.is_chosen(outcome.volume):
            self._choices.choose(segmentation=outcome.segmentation)
        else:
            text = f"{outcome.volume.GetName()}: {text}"
        self._runs.say(text)
