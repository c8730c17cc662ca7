"""`tuckerseg cache`: the compressed networks that are kept on this computer."""

from typing import Annotated

import typer

from .options import Json, bytes_of

app = typer.Typer(help="The compressed networks kept on this computer.", no_args_is_help=True)


@app.command("list")
def cache_list(as_json: Json = False) -> None:
    """List the compressed networks, the last used first."""
    from ..models.cache import Cache
    from . import console

    cache = Cache()
    entries = cache.entries()
    if as_json:
        listed = [{"model": e.model, "policy": dict(e.policy), "bytes": e.size, "path": str(e.path)} for e in entries]
        console.write_json({"folder": str(cache.folder), "limit": cache.limit, "entries": listed})
        return
    rows = [(e.model, console.policy(e.policy), console.size(e.size)) for e in entries]
    title = f"{cache.folder}, at most {console.size(cache.limit)}"
    console.write_table(title, ("Model", "Policy", "Size"), rows)


@app.command("clear")
def cache_clear(
    choices: Annotated[
        bool, typer.Option("--choices", help="Also what was found to be fastest here: made anew, it may differ.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Remove all compressed networks and what engines made of them; they are made again when they are needed."""
    from ..models.cache import Cache
    from ..store import Store
    from . import console

    store = Store(Cache().folder)
    freed = Cache().clear() + store.clear() + (store.forget_choices() if choices else 0)
    if as_json:
        console.write_json({"freed": freed})
    else:
        print(f"{console.size(freed)} freed")


@app.command("path")
def cache_path(as_json: Json = False) -> None:
    """Print the folder that holds the compressed networks."""
    from ..models.cache import Cache
    from . import console

    if as_json:
        console.write_json({"folder": str(Cache().folder)})
    else:
        print(Cache().folder)


@app.command("limit")
def cache_limit(
    limit: Annotated[str, typer.Argument(metavar="SIZE", help="Such as 500MB or 2GB.")], as_json: Json = False
) -> None:
    """Set how large the cache may grow; what was used longest ago is removed first."""
    from ..models.cache import Cache
    from . import console

    cache = Cache()
    cache.limit = bytes_of(limit)
    if as_json:
        console.write_json({"limit": cache.limit})
    else:
        print(f"at most {console.size(cache.limit)}")
