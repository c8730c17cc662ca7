"""The files that a result can be had as."""

from trame.widgets import html

from .logic import DownloadLogic

_HINTS = (
    "{'.seg.nrrd': '3D Slicer segmentation', '.nii.gz': 'NIfTI label map', '.mrb': 'the whole scene for 3D Slicer', "
    "'.csv': 'volumes and intensities', '.dcm': 'DICOM Segmentation'}"
)


def download_view(logic: DownloadLogic) -> None:
    """Below the list of what was found."""
    with html.Div(classes="d-flex flex-wrap align-center ga-2 mt-2", v_if=(f"{logic.name.kinds}.length",)):
        html.Span("Download", classes="text-body-2")
        html.A(
            "{{ kind }}",
            v_for=f"kind in {logic.name.kinds}",
            key="kind",
            classes="download",
            raw_attrs=[
                ":href=\"'/download/' + kind.slice(1)\"",
                "download",
                f':title="{_HINTS}[kind]"',
                f":aria-label=\"'Download ' + kind + ': ' + {_HINTS}[kind]\"",
            ],
        )
