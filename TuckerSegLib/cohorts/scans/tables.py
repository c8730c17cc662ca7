"""Tables: CSV and Parquet in, with whatever columns they have; the measurements of a cohort out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import csv, parquet

from ...errors import InputError
from ...volumes.output import whole_file

SUFFIXES = (".csv", ".tsv", ".parquet")

Row = dict[str, Any]

_PREFIX = "table_"
"""Goes before a column of the user's that is called as one of ours."""

_OF_A_SCAN = ("id", "state", "agreement", "seconds", "engine")


def read_table(path: Path) -> list[Row]:
    """The rows of a table. All values of a .csv or .tsv are text, as an id such as 0012 is no number.

    Raises:
        InputError: it cannot be read.
    """
    try:
        if path.suffix.lower() == ".parquet":
            return _rows(parquet.read_table(path))
        return _rows(_read_csv(path))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}): check the name.") from error
    except (pyarrow.ArrowException, UnicodeDecodeError, StopIteration) as error:
        raise InputError(f"{path} is no table ({_first_line(error)}): save it as UTF-8 CSV, or as Parquet.") from error


def _read_csv(path: Path) -> pyarrow.Table:
    with path.open(encoding="utf-8-sig") as file:
        first = next(file)
    separator = max(",;\t", key=first.count)
    names = [name.strip().strip('"') for name in first.rstrip("\r\n").split(separator)]
    texts = dict.fromkeys(names, pyarrow.string())
    return csv.read_csv(
        path,
        parse_options=csv.ParseOptions(delimiter=separator, newlines_in_values=True),
        convert_options=csv.ConvertOptions(column_types=texts, strings_can_be_null=False),
    )


def _rows(table: pyarrow.Table) -> list[Row]:
    rows: list[Row] = table.to_pylist()
    return rows


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or ["it is empty"])[0].rstrip(".")


def write_measurements(records: Iterable[Mapping[str, Any]], paths: Sequence[Path]) -> None:
    """A row for each structure that each scan has, with the columns of the table that named the scan.

    Volumes are cubic millimetres, as with `--statistics`; a scan without any structure has one row without them.

    Raises:
        OutputError: a file cannot be written.
    """
    rows = [row for record in records for row in _of_scan(record)]
    names = dict.fromkeys(name for row in rows for name in row) or dict.fromkeys(("id",))
    table = pyarrow.table({name: _column([row.get(name) for row in rows]) for name in names})
    for path in paths:
        with whole_file(path) as partial:
            if path.suffix == ".parquet":
                parquet.write_table(table, partial)
            else:
                csv.write_csv(table, partial)


def _of_scan(record: Mapping[str, Any]) -> Iterator[Row]:
    scan: Row = {
        "id": record["id"],
        "state": record["event"],
        "agreement": record.get("agreement"),
        "seconds": record.get("seconds", {}).get("all"),
        "engine": record.get("engine"),
    }
    structures = record.get("structures") or [{}]
    ours = {*_OF_A_SCAN, *structures[0]}
    carried = {_PREFIX + name if name in ours else name: value for name, value in record.get("columns", {}).items()}
    for structure in structures:
        yield {**scan, **carried, **structure}


def _column(values: Sequence[Any]) -> pyarrow.Array:
    """Of one type; text where the values are of several."""
    try:
        return pyarrow.array(values)
    except pyarrow.ArrowException:
        return pyarrow.array([None if value is None else str(value) for value in values])
