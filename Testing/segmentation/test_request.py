"""One list of options with one set of defaults: every door is made from it or checked against it."""

import inspect
from dataclasses import fields
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
import typer

from TuckerSegLib.cli import segment
from TuckerSegLib.errors import InputError
from TuckerSegLib.segmentation.request import Request, help_of

COMMAND_NAMES = {"structures": "roi_subset", "folds": "fold", "fit_to_scan": "fit"}
"""Options that the command calls otherwise."""

OF_THE_COMMAND_ALONE = {
    "images", "output", "channel", "straighten", "standard_names", "statistics", "suffix", "in_process", "as_json",
}  # fmt: skip
"""What the command has besides: where images come from and results go, and how that is said."""


def options() -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(segment.segment).parameters)


def described(name: str) -> str:
    """The help of one of the command's options."""
    hint = get_type_hints(segment.segment, include_extras=True)[name]
    assert get_origin(hint) is Annotated
    return next(str(one.help) for one in get_args(hint) if isinstance(one, typer.models.OptionInfo))


def test_the_command_has_every_option_and_no_other() -> None:
    of_request = {COMMAND_NAMES.get(field.name, field.name) for field in fields(Request)}
    assert set(options()) - OF_THE_COMMAND_ALONE == of_request


@pytest.mark.parametrize("option", [field.name for field in fields(Request)])
def test_the_command_says_and_defaults_to_what_the_request_does(option: str) -> None:
    name = COMMAND_NAMES.get(option, option)
    assert described(name).startswith(help_of(option))
    default = options()[name].default
    assert default == getattr(Request(), option) or (option in ("structures", "folds") and not default)


@pytest.mark.parametrize(
    ("given", "kept"), [(("liver", "spleen"), ("liver", "spleen")), (["liver"], ("liver",)), ("liver", ("liver",))]
)
def test_lists_may_be_given_as_any_sequence(given: Any, kept: tuple[str, ...]) -> None:
    assert Request(structures=given) == Request(structures=kept) and Request(structures=given).structures == kept


def test_an_option_that_there_is_not_is_answered_with_the_right_one() -> None:
    with pytest.raises(InputError, match="no option engin: did you mean engine"):
        Request.of(engin="torch")
