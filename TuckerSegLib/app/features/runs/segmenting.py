"""Segmenting the open image: what it takes and how well it agrees is remembered each time."""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from ....segmentation.request import Request
from ....segmentation.result import Segmentation
from ....segmentation.slider.measurements import millilitres, preparing_of, seconds_of, setup_of
from ....volumes.dice import mean_dice
from ..desk import Desk, Found, Image
from .logic import RunLogic, Step

Key = tuple[int, Request]


class Segmenting:
    """Keeps the last result of the original network, which all others are compared with."""

    def __init__(self, desk: Desk, runs: RunLogic) -> None:
        self._desk, self._runs = desk, runs
        self._original: tuple[Key, Segmentation] | None = None

    async def segment(self, requests: Sequence[Request], titles: Sequence[str] = ()) -> list[Segmentation] | None:
        """A result for each request, on the image that is open; None where a run failed or was cancelled.

        What is known already is not run again.
        """
        image = self._desk.image
        if image is None:
            return None
        known = [self._known(image, request) for request in requests] if len(requests) > 1 else [None]
        titles = titles or [""] * len(requests)
        steps = [
            Step(lambda request=request: self._desk.client.segment(image.volume, request), title)  # type: ignore[misc]
            for request, title, found in zip(requests, titles, known, strict=True)
            if found is None
        ]
        made = await self._runs.run(steps) if steps else []
        if made is None or self._desk.image is not image:
            return None
        waiting = iter(made)
        results = [found or cast(Segmentation, next(waiting)) for found in known]
        for request, result in zip(requests, results, strict=True):
            self._keep(image, request, result)
        return results

    def show(self, request: Request, segmentation: Segmentation) -> Found:
        """Into the scene, where it takes the place of the last one."""
        before = self._desk.found.node if self._desk.found else None
        return Found(request, segmentation, self._desk.scene.show(segmentation, before))

    def _known(self, image: Image, request: Request) -> Segmentation | None:
        for found in (self._desk.found, self._desk.compared):
            if found is not None and found.request == request:
                return found.segmentation
        return self._original[1] if self._original and self._original[0] == (id(image.volume), request) else None

    def _keep(self, image: Image, request: Request, result: Segmentation) -> None:
        known, setup = self._desk.measurements, setup_of(request)
        known.remember_time(setup, request.factor, seconds_of(result), millilitres(image.volume))
        known.remember_preparation(setup, request.factor, None if result.cache_hit else preparing_of(result))
        key = id(image.volume), replace(request, factor=1.0)
        if request.factor == 1:
            self._original = key, result
        if self._original is not None and self._original[0] == key:
            agreement = mean_dice(self._original[1].label_map.labels, result.label_map.labels)
            known.remember_agreement(setup, request.factor, agreement)
