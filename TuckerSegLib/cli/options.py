"""Options that several commands share; those of a request are described there."""

import functools
import inspect
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

import typer

from ..errors import InputError
from ..segmentation.request import Request, help_of

Command = TypeVar("Command", bound=Callable[..., None])


def of_request(option: str, *flags: str) -> Any:
    """The command's form of an option of `Request`, under these flags."""
    return typer.Option(*flags, help=help_of(option))


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]

Model = Annotated[str, of_request("model", "--model", "-m")]

Fold = Annotated[list[str] | None, typer.Option("--fold", help=f"{help_of('folds')} (May be repeated.)")]


_MODELS = f"{help_of('model')} (May be repeated: {help_of('also')})"


def request_of(
    model: Annotated[list[str] | None, typer.Option("--model", "-m", help=_MODELS)] = None,
    factor: Annotated[float, of_request("factor", "--factor", "-f")] = Request.factor,
    device: Annotated[str, of_request("device", "--device")] = Request.device,
    engine: Annotated[str, of_request("engine", "--engine")] = Request.engine,
    fold: Fold = None,
    roi_subset: Annotated[str, of_request("structures", "--roi-subset")] = "",
    exact_ranks: Annotated[bool, of_request("exact_ranks", "--exact-ranks")] = Request.exact_ranks,
    step: Annotated[float | None, of_request("step", "--step")] = Request.step,
    mirroring: Annotated[bool, of_request("mirroring", "--mirroring/--no-mirroring")] = Request.mirroring,
    remove_small_blobs: Annotated[
        bool, of_request("remove_small_blobs", "--remove-small-blobs")
    ] = Request.remove_small_blobs,
    fit: Annotated[bool, of_request("fit_to_scan", "--fit")] = Request.fit_to_scan,
    at_least: Annotated[float | None, of_request("at_least", "--at-least")] = Request.at_least,
    threads: Annotated[int, of_request("threads", "--threads")] = Request.threads,
    memory: Annotated[str | None, typer.Option(help=f"{help_of('memory')} Such as 4GB.")] = None,
) -> Request:
    """What is asked for by the options of a command that segments.

    Raises:
        InputError: an option cannot be.
    """
    first, *also = model or [Request.model]
    return Request(
        first,
        factor,
        device,
        engine,
        structures=names_of(roi_subset),
        exact_ranks=exact_ranks,
        folds=folds_of(fold),
        step=step,
        mirroring=mirroring,
        remove_small_blobs=remove_small_blobs,
        fit_to_scan=fit,
        at_least=at_least,
        threads=threads,
        memory=None if memory is None else bytes_of(memory),
        also=also,
    )


def takes(**makers: Callable[..., Any]) -> Callable[[Command], Command]:
    """Commands of this kind have, in place of each named parameter, the options of the function that makes it.

    An option that several of the functions have is the last one's, as the memory of a cluster's jobs; the others keep
    their defaults.
    """

    def decorated(command: Command) -> Command:
        own = inspect.signature(command).parameters
        last = {option: name for name, maker in makers.items() for option in inspect.signature(maker).parameters}
        options = {
            name: {option: one for option, one in inspect.signature(maker).parameters.items() if last[option] == name}
            for name, maker in makers.items()
        }

        @functools.wraps(command)
        def with_options(**given: Any) -> None:
            for name, maker in makers.items():
                given[name] = maker(**{option: given.pop(option) for option in options[name]})
            command(**given)

        spliced = [one for name, parameter in own.items() for one in options.get(name, {name: parameter}).values()]
        keywords = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in spliced]
        with_options.__signature__ = inspect.Signature(keywords)  # type: ignore[attr-defined]
        with_options.__annotations__ = {one.name: one.annotation for one in keywords}
        return with_options  # type: ignore[return-value]

    return decorated


def folds_of(names: Sequence[str] | None) -> tuple[int | str, ...]:
    """Folds as models name them: numbers, and words such as "all"."""
    return tuple(int(name) if name.isdecimal() else name for name in names or ())


def names_of(listed: str) -> list[str]:
    """Names that are listed with commas between them."""
    return [name.strip() for name in listed.split(",") if name.strip()]


def bytes_of(text: str) -> int:
    """The bytes in a text such as 16GB.

    Raises:
        InputError: it is no such text.
    """
    match = re.fullmatch(r"\s*([\d.]+)\s*([kMGT]?)B?\s*", text)
    if not match or match[1].count(".") > 1:
        raise InputError(f"{text} is no size: write it like 500MB or 2GB.")
    return int(float(match[1]) * 1000 ** " kMGT".index(match[2] or " "))
