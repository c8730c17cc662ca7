"""What *Segment* does: it offers the model's weights where they are missing, else it segments."""

from collections.abc import Callable
from typing import Any

import slicer
from slicer.i18n import tr as _

from TuckerSegLib.words import wording

from ..choices import modality, models
from ..choices.scene_choices import SceneChoices
from ..logic import TuckerSegLogic
from ..runs.segmenting import Outcome
from ..scene import sequences
from ..words import errors
from .run_panel import RunPanel


class SegmentingPanel:
    """`offer_weights` is called with the task whose weights are missing."""

    def __init__(
        self, logic: TuckerSegLogic, choices: SceneChoices, runs: RunPanel, offer_weights: Callable[[Any], None]
    ) -> None:
        self._logic, self._choices, self._runs = logic, choices, runs
        self._offer_weights = offer_weights

    def begin(self) -> None:
        chosen = self._choices.chosen
        task = models.task_to_download(chosen.model)
        if task is not None:
            self._offer_weights(task)
            return
        question = modality.doubt(chosen.volume, chosen.model)
        if not question or slicer.util.confirmYesNoDisplay(question, _("TuckerSeg")):
            self._segment()

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
            self._runs.note(errors.translated(warning))
        if finished.parameters_removed:
            self._runs.note(wording.outcome(finished.parameters_removed, finished.layers_kept))
        if outcome.check is not None:
            self._runs.note(wording.checked(outcome.check))
        self._runs.note(wording.how(finished.engine, finished.cache_hit))
        count = outcome.segmentation.GetSegmentation().GetNumberOfSegments()
        text, meaning = wording.finished(count, sum(finished.seconds.values()), outcome.expected, outcome.check)
        # The result belongs to the volume that was segmented, whatever was chosen since.
        if self._choices.is_chosen(outcome.volume):
            self._choices.choose(segmentation=outcome.segmentation)
        else:
            text = f"{outcome.volume.GetName()}: {text}"
        self._runs.say(text, meaning)
