"""The page: what it shows, in which order, in which words."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from statistics import median

from ...errors import InputError
from ...progress import Progress
from ...volumes.output import whole_file
from ..cohort import Cohort
from ..expected import duration
from ..manifest import DONE, FAILED, SET_ASIDE, Json, Known, read_manifest
from ..planning import PARTS
from ..scans.tables import write_measurements
from ..state import State, state_of
from .drawings import histogram, scale, spread
from .thumbnails import Thumbnails
from .unusual import UNUSUAL, Unusual, Volumes, unusual_scans, volumes_of

_PICTURES = 12
"""Unusual scans that are shown."""

_LISTED = 200
"""Rows of a table of unusual scans or failures; the measurements have the rest."""

_STYLE = """
body { font: 15px/1.45 sans-serif; margin: 2em auto; max-width: 68em; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: 1em 0 } tr { border-bottom: 1px solid #e3e3e3 }
svg { vertical-align: middle } th, td { padding: .15em .6em; text-align: right; white-space: nowrap }
th:first-child, td:first-child { text-align: left }
.words td { text-align: left; white-space: normal; vertical-align: top; overflow-wrap: anywhere }
.words th { text-align: left }
.facts { display: flex; flex-wrap: wrap; gap: .8em }
.facts div { background: #f4f6f8; border-radius: 6px; padding: .5em 1em }
.facts b { display: block; font-size: 1.4em } .bad b { color: #b03a00 }
.pictures { display: flex; flex-wrap: wrap; gap: 1em } figure { margin: 0; width: 21em } figure img { max-width: 100% }
figcaption { font-size: 13px; overflow-wrap: anywhere } text { font: 11px sans-serif; fill: #444 }
.plots { display: flex; flex-wrap: wrap; gap: 2em } .plots figure { width: auto } .plots svg { max-width: 100% }
.note { color: #555 } .wide { overflow-x: auto }
"""


def write_report(cohort: Cohort, progress: Progress | None = None) -> Path:
    """Write the report and the measurements of a cohort, a run of which may be at work; gives the page's place.

    Raises:
        InputError: no scan is done.
        OutputError: the files cannot be written.
        Cancelled: `progress` was cancelled.
    """
    known = read_manifest(cohort.places.manifest)
    if not known.records:
        raise InputError(f"No scan of {cohort.results} is done: there is nothing to report yet.")
    records = sorted(known.records.values(), key=lambda record: record["id"])
    write_measurements(records, [cohort.places.measurements(suffix) for suffix in (".parquet", ".csv")])
    content = _page(cohort, known, state_of(cohort), progress or Progress())
    with whole_file(cohort.places.report) as partial:
        partial.write_text(content, encoding="utf-8")
    return cohort.places.report


def _page(cohort: Cohort, known: Known, state: State, progress: Progress) -> str:
    done = known.of_state(DONE)
    volumes = volumes_of(done)
    found = unusual_scans(done, volumes)
    name = escape(cohort.results.resolve().name)
    parts = [
        f"<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'><title>{name}: cohort</title>",
        f"<style>{_STYLE}</style></head><body><h1>{name}</h1>",
        _facts(cohort, known, state, len(found)),
        _unusual(cohort, known, found, progress),
        _failures(state),
        _volumes(volumes),
        _plots(done),
        _warnings(done),
        _notes(),
        "</body></html>",
    ]
    return "\n".join(part for part in parts if part)


def _facts(cohort: Cohort, known: Known, state: State, unusual: int) -> str:
    counts, request = state.counts, cohort.request
    facts = [
        ("scans segmented", f"{counts[DONE]:,}", False),
        ("failed", f"{counts[FAILED]:,}", counts[FAILED] > 0),
        ("set aside", f"{counts[SET_ASIDE]:,}", counts[SET_ASIDE] > 0),
        ("unusual", f"{unusual:,}", unusual > 0),
        ("a scan, the median", duration(state.seconds) if state.seconds is not None else "", False),
        ("of memory at most", f"{state.peak_memory / 1e9:.1f} GB", False),
    ]
    boxes = [f"<div{' class=bad' if bad else ''}><b>{value}</b>{text}</div>" for text, value, bad in facts if value]
    level = "the original network" if request.factor == 1 else f"factor {request.factor:g}"
    begun = known.settings["time"][:10]
    words = (
        f"<p>Model <b>{escape(request.model)}</b>, {level}; begun on {begun}, "
        f"looked at on {datetime.now(UTC).date()}. Research software, not a medical device.</p>"
    )
    remarks = "".join(f"<p class='note'>{escape(line)}</p>" for line in str(state).splitlines()[1:])
    return f"{words}<div class='facts'>{''.join(boxes)}</div>{remarks}"


def _unusual(cohort: Cohort, known: Known, found: Sequence[Unusual], progress: Progress) -> str:
    if not found:
        return "<h2>Unusual scans</h2><p>None: no structure's volume is far from the median of all scans.</p>"
    thumbnails, figures = Thumbnails(cohort), []
    for number, one in enumerate(found[:_PICTURES]):
        progress.stage("report")
        progress.step(number, min(len(found), _PICTURES))
        picture = thumbnails.of(known.records[one.scan], one.structure)
        shown = f"<img alt='' src='{picture.address}'>" if picture else "<p class='note'>The files are not there.</p>"
        words = f"<b>{escape(one.scan)}</b><br>{escape(str(one))}"
        figures.append(f"<figure>{shown}<figcaption>{words}</figcaption></figure>")
    rest = [(one.scan, str(one)) for one in found[_PICTURES:][:_LISTED]]
    more = _words(("Scan", "What is unusual"), rest) if rest else ""
    return (
        f"<h2>Unusual scans</h2><p>{len(found):,} scans have a structure whose volume is more than {UNUSUAL:g} robust "
        "standard deviations from the median, or lack one that nearly all others have. The worst first; patients are "
        f"seen from their feet and from the front.</p><div class='pictures'>{''.join(figures)}</div>{more}"
    )


def _failures(state: State) -> str:
    if not state.problems:
        return ""
    more = len(state.problems) - _LISTED
    rest = f"<p class='note'>And {more:,} more: <code>tuckerseg cohort status</code> lists all.</p>" if more > 0 else ""
    return f"<h2>Not segmented</h2>{_words(('Scan', 'Why'), state.problems[:_LISTED])}{rest}"


def _words(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(one)}</th>" for one in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table class='words'><tr>{head}</tr>{body}</table>"


def _volumes(volumes: Sequence[Volumes]) -> str:
    if not volumes:
        return "<h2>Volumes</h2><p>No structure is shown whole by any scan.</p>"
    rows = []
    for one in volumes:
        values, distances = list(one.by_scan.values()), one.distances()
        unusual = [one.by_scan[scan] for scan, distance in distances.items() if abs(distance) > UNUSUAL]
        cells = (
            f"{len(values):,}",
            _number(one.median),
            f"{_number(min(values))} to {_number(max(values))}",
            f"{len(unusual)}",
        )
        numbers = "".join(f"<td>{cell}</td>" for cell in cells)
        rows.append(f"<tr><td>{escape(one.name)}</td>{numbers}<td>{spread(values, unusual)}</td></tr>")
    heads = "<th>Structure</th><th>Scans</th><th>Median, ml</th><th>Range, ml</th><th>Unusual</th>"
    return (
        "<h2>Volumes</h2><p>Of structures that lie within the image. Boxes are quartiles, lines reach from the 5th to "
        "the 95th percentile, points are unusual scans, at most at the ends of the axis.</p>"
        f"<div class='wide'><table><tr>{heads}<th>{scale()}</th></tr>{''.join(rows)}</table></div>"
    )


def _number(millilitres: float) -> str:
    """With as many digits as mean something."""
    return f"{millilitres:,.{0 if millilitres >= 100 else 1}f}" if millilitres >= 1 else f"{millilitres:.2g}"


def _plots(done: Sequence[Json]) -> str:
    if not done:
        return ""
    agreements = [one["agreement"] for one in done if one.get("agreement") is not None]
    plots = f"<figure>{histogram([one['seconds']['all'] for one in done], 'seconds a scan')}</figure>"
    if agreements:
        plots += f"<figure>{histogram(agreements, 'expected agreement with the original network')}</figure>"
    else:
        plots += "<p class='note'>No agreement is told where the original network itself ran, or is not at hand.</p>"
    seconds = {part: median(one["seconds"].get(part, 0.0) for one in done) for part in PARTS}
    medians = ", ".join(f"{part} {of_part:.2f} s" for part, of_part in seconds.items() if of_part)
    return f"<h2>Seconds and agreement</h2><div class='plots'>{plots}</div><p class='note'>Medians: {medians}.</p>"


def _warnings(done: Sequence[Json]) -> str:
    said = Counter(warning for one in done for warning in one["warnings"])
    rows = [(f"{count:,}", warning) for warning, count in said.most_common(_LISTED)]
    return f"<h2>Warnings</h2>{_words(('Scans', 'Warning'), rows)}" if rows else ""


def _notes() -> str:
    return (
        "<p class='note'>Every number is in measurements.parquet and measurements.csv beside this page, a row for each "
        "scan and structure; manifest.jsonl has the hashes, versions and options of each scan.</p>"
    )
