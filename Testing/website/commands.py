"""Every command of `tuckerseg` as a page, from the very objects that print its help."""

import inspect
from collections.abc import Iterator
from typing import Any

import typer

from TuckerSegLib.cli.main import app

_KINDS = {"Path": "PATH", "str": "TEXT", "int": "NUMBER", "float": "NUMBER"}


def page() -> str:
    """Markdown: a heading for each command, its help, and a table of what it takes."""
    root = typer.main.get_command(app)
    intro = "Made from the commands' own help: `tuckerseg COMMAND --help` says the same."
    parts = [f"# Commands\n\n{intro} A mistake is one line on standard error and exit code 2.\n"]
    parts += [_section(name, command) for name, command in commands(root)]
    return "\n".join(parts)


def commands(command: Any, name: str = "tuckerseg") -> Iterator[tuple[str, Any]]:
    """A command and all those below it, with their whole names; groups that do nothing themselves are left out."""
    below = getattr(command, "commands", {})
    if not below or command.invoke_without_command:
        yield name, command
    for word, child in below.items():
        yield from commands(child, f"{name} {word}")


def _section(name: str, command: Any) -> str:
    arguments = [one for one in command.params if type(one).__name__ == "TyperArgument"]
    options = [one for one in command.params if one not in arguments]
    usage = " ".join([name, *(["[OPTIONS]"] if options else []), *map(_placeholder, arguments)])
    rows = [f"| `{_placeholder(one)}` | {_help(one)} | |" for one in arguments]
    rows += [f"| {_names(one)} | {_help(one)} | {_default(one)} |" for one in options]
    said = inspect.cleandoc(command.help or "")
    table = "| | What it is | Otherwise |\n| --- | --- | --- |\n" + "\n".join(rows) + "\n"
    return f"## {name}\n\n{said}\n\n```\n{usage}\n```\n\n{table}"


def _placeholder(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return f"{name}..." if argument.nargs == -1 else name


def _names(option: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    return names if option.is_flag else f"{names} {_kind(option)}"


def _kind(option: Any) -> str:
    annotation = str(option.type_descriptor.annotation)
    return next((kind for name, kind in _KINDS.items() if name in annotation), "TEXT")


def _help(parameter: Any) -> str:
    return (parameter.help or "").replace("|", "\\|").replace("\n", " ")


def _default(option: Any) -> str:
    value = option.default
    if callable(value) or value in (None, "", False):
        return "required" if option.required else ""
    return "on" if value is True else f"`{value}`"
