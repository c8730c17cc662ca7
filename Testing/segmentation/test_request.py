"""One list of options with one set of defaults: every door is made from it or checked against it."""

import inspect
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
import typer
from typer.testing import CliRunner

from TuckerSegLib.cli import segment
from TuckerSegLib.cli.cohort import commands as cohort
from TuckerSegLib.cli.options import bytes_of, request_of, takes
from TuckerSegLib.cli.pacs import commands as pacs
from TuckerSegLib.errors import InputError
from TuckerSegLib.segmentation.request import Request, help_of

COMMAND_NAMES = {"structures": "roi_subset", "folds": "fold", "fit_to_scan": "fit", "also": "model"}
"""Options that the command calls otherwise; it takes further models by repeating the first one's option."""

REPEATED = ("structures", "folds", "model", "also")
"""Options that are lists, which the command leaves empty for the request's own."""

COMMANDS: dict[str, Callable[..., None]] = {
    "segment": segment.segment,
    "cohort run": cohort.run,
    "pacs segment": pacs.segment,
}


def options(command: Callable[..., object]) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(command).parameters)


def described(command: Callable[..., object], name: str) -> str:
    """The help of one of a command's options."""
    hint = get_type_hints(command, include_extras=True)[name]
    assert get_origin(hint) is Annotated
    return next(str(one.help) for one in get_args(hint) if isinstance(one, typer.models.OptionInfo))


def test_commands_have_every_option_of_a_request_and_no_other() -> None:
    of_request = {COMMAND_NAMES.get(field.name, field.name) for field in fields(Request)}
    assert set(options(request_of)) == of_request


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
@pytest.mark.parametrize("option", [field.name for field in fields(Request)])
def test_commands_say_and_default_to_what_the_request_does(option: str, command: Callable[..., None]) -> None:
    name = COMMAND_NAMES.get(option, option)
    if (option, command) == ("memory", COMMANDS["cohort run"]):
        assert described(command, name) == "Of each job."
        return
    assert help_of(option) in described(command, name)
    default = options(command)[name].default
    assert default == getattr(Request(), option) or (option in REPEATED and not default)


def test_the_options_of_a_command_become_its_request() -> None:
    app, found = typer.Typer(), []

    @app.command()
    @takes(request=request_of)
    def command(image: Path, request: Request, last: int = 1) -> None:
        found.append((image, request, last))

    given = (
        "ct.nii.gz --last 2 -m total-fast -m lung_vessels -f 0.5 --device cpu --engine torch --fold 0 --fold all "
        "--roi-subset liver,spleen --exact-ranks --step 0.25 --no-mirroring --remove-small-blobs --fit --at-least 0.98 "
        "--threads 3 --memory 4GB"
    )
    assert CliRunner().invoke(app, given.split()).exit_code == 0
    asked = Request(
        "total-fast", 0.5, "cpu", "torch", ("liver", "spleen"), True, (0, "all"), 0.25, False, True, True, 0.98, 3,
        ("lung_vessels",), 4 * 10**9,
    )  # fmt: skip
    assert found == [(Path("ct.nii.gz"), asked, 2)]


@pytest.mark.parametrize(
    ("given", "kept"), [(("liver", "spleen"), ("liver", "spleen")), (["liver"], ("liver",)), ("liver", ("liver",))]
)
def test_lists_may_be_given_as_any_sequence(given: Any, kept: tuple[str, ...]) -> None:
    assert Request(structures=given) == Request(structures=kept) and Request(structures=given).structures == kept


def test_an_option_that_there_is_not_is_answered_with_the_right_one() -> None:
    with pytest.raises(InputError, match="no option engin: did you mean engine"):
        Request.of(engin="torch")


def test_a_size_of_memory_is_written_as_people_do() -> None:
    assert (bytes_of("4GB"), bytes_of("1.5 G"), bytes_of("500MB")) == (4 * 10**9, 15 * 10**8, 5 * 10**8)


def test_an_option_of_two_makers_is_the_last_one_s() -> None:
    found: list[tuple[object, ...]] = []
    app = typer.Typer()

    def jobs(memory: str = "16GB", cores: int = 1) -> tuple[str, int]:
        return memory, cores

    @app.command()
    @takes(request=request_of, jobs=jobs)
    def command(request: Request, jobs: tuple[str, int]) -> None:
        found.append((request.memory, jobs))

    assert CliRunner().invoke(app, ["--memory", "2GB"]).exit_code == 0
    assert found == [(None, ("2GB", 1))]
