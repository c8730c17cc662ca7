"""What the module does, without its panel: volumes of the scene are segmented by a worker process."""
# ruff: noqa: N802, N803  (the names that Slicer calls, and those its users expect in scripts)

from collections.abc import Callable
from typing import Any

import slicer
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

from TuckerSegLib.errors import InputError
from TuckerSegLib.segmentation.slider.measurements import Measurements
from TuckerSegLib.worker.client import Client

from .choices import settings
from .choices.options import request_of
from .environment import interpreters
from .runs.idle import IdleTimer
from .runs.phantom import make_phantom
from .runs.run import Advance, Run, Step, Steps
from .runs.runner import Listener, Runner, ignore
from .runs.segmenting import Segmenting

_MEASUREMENTS = "TuckerSeg/Measurements"
"""Where the application's settings keep what was measured."""


class TuckerSegLogic(ScriptedLoadableModuleLogic):
    """Segments volumes of the scene through a worker process; usable without the panel.

    logic = TuckerSegLogic()
    segmentation = logic.process(volumeNode, model="sample", factor=0.3)
    logic.close()
    """

    def __init__(self, client: Client | None = None) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self.client = client or Client(*interpreters.for_worker())
        self.measurements = Measurements(
            lambda: settings.read(_MEASUREMENTS), lambda text: settings.write(_MEASUREMENTS, text)
        )
        self.segmenting = Segmenting(self.client, self.measurements)
        self._run: Run | None = None
        self._runner = Runner()
        self._idle = IdleTimer(self.client)

    def process(
        self,
        volumeNode: "slicer.vtkMRMLScalarVolumeNode",
        segmentationNode: "slicer.vtkMRMLSegmentationNode | None" = None,
        *,
        standardNames: bool = True,
        allFrames: bool = False,
        progress: Callable[[Advance], None] = ignore,
        finished: Callable[["slicer.vtkMRMLSegmentationNode"], None] | None = None,
        failed: Callable[[BaseException], None] = ignore,
        **options: Any,
    ) -> Any:
        """Segments `volumeNode` into `segmentationNode`, or into a new node, and returns that; events are processed.

        With `finished` it returns a `Run` at once instead, and calls `finished` or `failed` later. `progress` is told
        the stage, the fraction of the whole and the seconds left.

        `options` are `Request`'s: `model` ("sample", a task of TotalSegmentator, a trained nnU-Net folder, or a
        `.tuckerseg` file), `also`, `factor`, `device`, `engine`, `structures`, `exactRanks`, `folds`, `step`,
        `mirroring`, `removeSmallBlobs`, `fitToScan`, `atLeast`, `threads`, `memory`.
        `standardNames` names segments in words, else as the network does; `allFrames` takes every frame of the sequence
        that the volume belongs to. A `segmentationNode` that holds another volume's segments, or a frame of a sequence
        that plays, stays as it is: the result is then a new node.

        Raises:
            TuckerSegError: when blocking; the scene is then as it was.
        """
        steps = self.segmenting.segment_frames if allFrames else self.segmenting.segment
        nodes = [volumeNode] if volumeNode else []
        run = Run(steps(volumeNode, segmentationNode, request_of(options), standardNames), nodes)
        if finished is None:
            self.start(Listener(run, progress))
            return self.wait(run).segmentation
        self.start(Listener(run, progress, lambda outcome: finished(outcome.segmentation), failed))
        return run

    def loadSample(self) -> "slicer.vtkMRMLScalarVolumeNode":
        """A phantom CT, made on the spot, as a new volume of the scene; events are processed while it is made.

        Raises:
            TuckerSegError: the Python packages that make it are missing, or something is being segmented.
        """
        run = Run(make_phantom())
        self.start(Listener(run))
        return self.wait(run)

    @property
    def busy(self) -> bool:
        """Whether something is being segmented."""
        return self._run is not None and not self._run.done

    def start(self, listener: Listener) -> None:
        """Starts a run, which goes on while the application does; one at a time.

        Raises:
            InputError: another one is going on.
        """
        if self.busy:
            raise InputError(_("A segmentation is running already: wait for it or cancel it."))
        self._run = listener.run
        self._idle.start(listener.run)
        self._runner.start(listener)

    def wait(self, run: Run) -> Any:
        """The run's result, once it is there; events are processed meanwhile.

        Raises:
            TuckerSegError: the run failed or was cancelled.
        """
        return self._runner.wait(run)

    def cancel(self) -> None:
        """Stop what is being segmented, if anything is; the scene stays as it was."""
        if self._run is not None and self.busy:
            self._run.cancel()
            self._runner.poll()

    def ask(self, method: str, finished: Callable[[Any], None], **arguments: Any) -> None:
        """One of the worker's other methods, such as "levels"; where that fails, nobody is told."""
        run = Run(self._call(method, arguments))
        self._idle.start(run)
        self._runner.start(Listener(run, finished=finished))

    def use_chosen_python(self) -> None:
        """From now on the worker is run by the interpreter that the user chose; what another one does is cancelled."""
        self.client.use(*interpreters.for_worker())

    def close(self) -> None:
        """Ends the worker and whatever it is doing; a later call starts a new one."""
        self.cancel()
        self._runner.forget()
        self._idle.stop()
        self.client.close()

    def _call(self, method: str, arguments: dict[str, Any]) -> Steps:
        return (yield Step(self.client.call(method, **arguments)))
