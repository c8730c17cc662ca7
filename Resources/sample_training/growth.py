"""A network with twice the channels and a stage more, that computes what the smaller one it grew from does."""

# mypy: allow-untyped-calls

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

_VARIETY = 0.5
"""How much of a random start the copies of a channel differ by."""
_RESTLESS = 0.1
"""How much of its random start the stage that is passed through keeps."""
_NUMBERED = re.compile(r"(decoder\.(?:stages|transpconvs|seg_layers))\.(\d+)\.")


def grow(wide: nn.Module, small: nn.Module, images: Sequence[Tensor], generator: torch.Generator) -> None:
    """Gives `wide` the weights of `small`, in place (Chen, Goodfellow and Shlens, Net2Net, ICLR 2016).

    Every channel is doubled and the weights that read it are halved; the two then differ by a random amount that
    cancels as long as the channels are equal, so that they part as soon as they are trained. The stage that `small`
    lacks keeps its random start, and the decoder's first stage, which joins it to the rest, passes the rest through:
    patches (1, channels, *spatial) tell the scale and mean that its normalisation has to restore.
    """
    known = dict(small.named_parameters())
    with torch.no_grad():
        for name, parameter in wide.named_parameters():
            source = known.get(_name_in_small(name) or "")
            if source is not None:
                parameter.copy_(_doubled(name, source, parameter, generator))
        _pass_through(wide, images)


def _name_in_small(name: str) -> str | None:
    """Decoders count from below, where `small` has a stage less; None for what it has nothing like."""
    found = _NUMBERED.match(name)
    if not found:
        return name
    number = int(found[2]) - 1
    return f"{found[1]}.{number}.{name[found.end() :]}" if number >= 0 else None


def _doubled(name: str, source: Tensor, like: Tensor, generator: torch.Generator) -> Tensor:
    """`source` in the shape of `like`."""
    if name.startswith("decoder.transpconvs") and source.ndim > 1:
        return _widened(source.transpose(0, 1), like.transpose(0, 1), 1, generator).transpose(0, 1)
    reads_two = name.startswith("decoder.stages") and name.endswith("convs.0.conv.weight")
    return _widened(source, like, 2 if reads_two else 1, generator)


def _widened(source: Tensor, like: Tensor, runs: int, generator: torch.Generator) -> Tensor:
    """(outputs, inputs, *kernel); the inputs are `runs` of channels, each doubled by itself."""
    rows = source.repeat(len(like) // len(source), *[1] * (source.ndim - 1))
    if rows.shape == like.shape:
        return rows
    spread = _VARIETY * (2 / like[0].numel()) ** 0.5
    halves = []
    for run in rows.chunk(runs, 1):
        apart = spread * torch.randn(run.shape, generator=generator)
        halves += [run / 2 + apart, run / 2 - apart]
    return torch.cat(halves, 1)


def _pass_through(wide: Any, images: Sequence[Tensor]) -> None:
    """The decoder's first stage hands on what the encoder's last but one found."""
    skips = [wide.encoder(image)[-2] for image in images]
    for block in wide.decoder.stages[0].convs:
        weight, norm = block.conv.weight, block.norm
        count, inputs = weight.shape[:2]
        weight.mul_(_RESTLESS)
        weight[:, inputs - count :] = 0
        centre = tuple(size // 2 for size in weight.shape[2:])
        for channel in range(count):
            weight[(channel, inputs - count + channel, *centre)] = 1
        block.conv.bias.zero_()
        values = [skip[0].flatten(1) for skip in skips]
        norm.weight.copy_(torch.stack([value.std(1) for value in values]).mean(0))
        norm.bias.copy_(torch.stack([value.mean(1) for value in values]).mean(0))
        below = [skip.new_zeros(1, inputs - count, *skip.shape[2:]) for skip in skips]
        skips = [block(torch.cat(pair, 1)) for pair in zip(below, skips, strict=True)]
