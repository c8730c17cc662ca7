"""The model and the position of the slider; what is known of each position, and measuring what is not."""

import math
from typing import Any

from trame_server import Server

from ....decomposition.published import LEVELS
from ....models.dataset import is_compressed
from ....segmentation.request import Request
from ....segmentation.slider.measurements import Expected, Measured, millilitres, setup_of
from ....words import wording
from ....words.wording import Cost
from ..desk import Desk
from ..feature import Feature
from ..runs.logic import RunLogic, Step
from ..runs.segmenting import Segmenting
from .models import offered
from .state import LevelState


class LevelLogic(Feature[LevelState]):
    """Asks the worker once for each model what its levels save."""

    def __init__(self, server: Server, desk: Desk, runs: RunLogic, segmenting: Segmenting) -> None:
        super().__init__(server, LevelState)
        self._desk, self._runs, self._segmenting = desk, runs, segmenting
        self._costs: dict[str, dict[float, Cost]] = {}
        self.data.models = offered()
        name = self.name
        changed = map(str, (name.position, name.fit, name.promised, name.at_least))
        changes = dict.fromkeys(changed, self._on_change)
        self._bind({**changes, str(name.model): self._on_model})
        desk.on_change(self.refresh)
        self.refresh()

    @property
    def request(self) -> Request:
        """What the controls ask for; what a page sent that was never offered is left out."""
        return self.at(self._position)

    def at(self, position: int) -> Request:
        """The same at another position."""
        compressed = LEVELS[position] != 1
        return Request(
            self._model,
            LEVELS[position],
            fit_to_scan=bool(self.data.fit) and compressed,
            at_least=self._promise if self.data.promised and compressed else None,
        )

    async def segment(self) -> None:
        """*Segment*: the result takes the place of the last one."""
        request = self.request
        if self._runs.data.obstacle or self._runs.busy:
            return
        results = await self._segmenting.segment([request])
        if results is None:
            return
        found = self._segmenting.show(request, results[0])
        self._desk.scene.remove(self._desk.compared.node if self._desk.compared else None)
        self._desk.put(found)
        expected = self._desk.measurements.expected(setup_of(request), request.factor, None)
        count = len(found.label_map.voxel_counts())
        self._runs.say(*wording.finished(count, sum(results[0].seconds.values()), expected, results[0].check))

    async def measure(self) -> None:
        """Every position whose time or agreement is not known, on the open image; nothing else changes."""
        positions = self._unmeasured()
        if not positions or self._runs.busy or self._desk.image is None:
            return
        requests = [self.at(position) for position in positions]
        if requests[0].factor != 1:
            requests.insert(0, self.at(0))
        titles = ["Original network" if one.factor == 1 else f"Level {one.factor:g}" for one in requests]
        if await self._segmenting.segment(requests, titles) is not None:
            self.refresh()
            self._runs.say("Every position was measured on this image.")

    async def improve(self) -> None:
        """*Improve*: all positions are trained to answer as the original does, and have to be measured anew."""
        if self._runs.busy or self.data.fixed:
            return
        model, minutes = self._model, self._minutes
        training = Step(lambda: self._desk.client.call("prepare", model=model, minutes=minutes))
        if await self._runs.run([training]) is not None:
            self._desk.measurements.forget(setup_of(self.request))
            self._costs.pop(model, None)
            self._runs.say(wording.improved(minutes))
            await self.ask()

    async def ask(self) -> None:
        """What the levels of the chosen model save is known to the worker, which opens the model for it."""
        model = self._model
        if model not in self._costs:
            self._costs[model] = {}
            answer = await self._runs.call("levels", model=model)
            self._costs[model] = {cost.factor: cost for cost in map(Cost.of, answer["levels"])} if answer else {}
        self.refresh()
        self.flush()

    def refresh(self) -> None:
        """What is known now, in words and as a plot."""
        request = self.request
        cost, expected = self._costs.get(request.model, {}).get(request.factor), self._expected(request)
        self.data.factor = f"{request.factor:g}"
        self.data.fixed = is_compressed(request.model)
        self.data.hint = next((one["hint"] for one in self.data.models if one["value"] == request.model), "")
        self.data.text, self.data.meaning = wording.gain(request.factor, cost, expected)
        self.data.basis = wording.basis(request.factor, cost, expected, request.exact_ranks)
        known = [one for one in self._known() if one.seconds is not None and one.agreement is not None]
        slowest = max((one.seconds or 0.0 for one in known), default=0.0)
        self.data.points = [_point(one, slowest, request.factor) for one in known]
        self.data.slowest = wording.duration(slowest) if known else ""
        self.data.unmeasured = len(self._unmeasured())

    @property
    def _model(self) -> str:
        offered_now = [one["value"] for one in self.data.models]
        return self.data.model if self.data.model in offered_now else str(offered_now[0])

    @property
    def _position(self) -> int:
        position = self.data.position
        is_number = isinstance(position, int | float) and math.isfinite(position)
        return min(max(round(position), 0), len(LEVELS) - 1) if is_number else 0

    @property
    def _minutes(self) -> float:
        value = self.data.minutes
        return min(max(float(value), 1.0), 600.0) if isinstance(value, int | float) and math.isfinite(value) else 10.0

    @property
    def _promise(self) -> float:
        """An agreement that can be asked for; what a page sent instead is none."""
        value = self.data.at_least
        return round(min(max(value, 0.5), 1.0), 3) if isinstance(value, int | float) and math.isfinite(value) else 0.95

    def _known(self) -> list[Measured]:
        """Every measured position, with its seconds scaled to the open image."""
        return [
            Measured(one.factor, self._expected(self.at(LEVELS.index(one.factor))).seconds, None, one.agreement)
            for one in self._desk.measurements.of(setup_of(self.request))
            if one.factor in LEVELS
        ]

    def _unmeasured(self) -> list[int]:
        known = {one.factor for one in self._known() if one.seconds is not None and one.agreement is not None}
        return [position for position, factor in enumerate(LEVELS) if factor not in known]

    def _expected(self, request: Request) -> Expected:
        image = self._desk.image
        size = millilitres(image.volume) if image else None
        return self._desk.measurements.expected(setup_of(request), request.factor, size)

    def _on_change(self, *_values: Any) -> None:
        self.refresh()

    async def _on_model(self, *_values: Any) -> None:
        self.refresh()
        await self.ask()


def _point(level: Measured, slowest: float, chosen: float) -> dict[str, Any]:
    """Seconds to the right, agreement upwards, each from 0 to 100."""
    assert level.seconds is not None and level.agreement is not None
    label = f"{level.factor:g}: {wording.duration(level.seconds)}, agreement {level.agreement:.3f}"
    x, y = 100 * level.seconds / max(slowest, 1e-9), 100 * level.agreement
    return {"x": x, "y": y, "label": label, "factor": f"{level.factor:g}", "chosen": level.factor == chosen}
