"""Singular values of a kernel's channel unfoldings, and the errors that they predict."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .tucker import Convolution, kernel_of

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Spectra:
    """The squared singular values of a kernel's two channel unfoldings, (O,) and (I,), in descending order."""

    out: Values
    into: Values

    @property
    def modes(self) -> tuple[Values, Values]:
        return self.out, self.into

    @property
    def energy(self) -> float:
        """The kernel's squared norm, which the values of either mode sum up to."""
        return float(self.out.sum())


def spectra_of(layer: Convolution) -> Spectra:
    """The spectra of a layer's kernel, whatever it is applied to."""
    return Spectra(_squares(kernel_of(layer), 0), _squares(kernel_of(layer), 1))


def spectral_errors(layer: Convolution) -> Values:
    """(O, I): the squared error at each pair of ranks, as a share of what is kept, by the kernel alone.

    Where the two modes keep the shares a and b of the kernel's energy, the ratio of what is lost to what is kept is at
    most 1 / (a b) - 1. That ratio counts because the normalisation after a layer scales what is kept up again, error
    and all; it also makes layers of different scale comparable.
    """
    tiny = np.finfo(float).tiny
    out, into = (1 - tails(s)[1:] / max(float(s.sum()), tiny) for s in spectra_of(layer).modes)
    return 1 / np.maximum(out[:, None] * into, 1e-6) - 1


def _squares(kernel: Tensor, mode: int) -> Values:
    unfolded = kernel.detach().cpu().double().movedim(mode, 0).flatten(1)
    squares: Values = torch.linalg.eigvalsh(unfolded @ unfolded.T).flip(0).clamp(min=0).numpy()
    return squares


def tails(squares: Values) -> Values:
    """(C + 1,): the sum of what is lost when 0, 1, ... C values are kept; the last is exactly 0."""
    return np.append(np.cumsum(squares[::-1])[::-1], 0.0)
