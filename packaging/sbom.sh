#!/bin/sh
# Writes dist/tuckerseg.cdx.json: the packages that run where the wheel in dist/ was installed into an empty environment,
# with versions and licences, as a CycloneDX software bill of materials. Called by `make sbom`, from the checkout.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$PYTHON" -m venv "$work/venv"
pip() { "$work/venv/bin/python" -m pip --disable-pip-version-check install -q "$@"; }
# First alone, so that the extra index is asked for PyTorch only.
pip --no-deps --retries 1 --extra-index-url "$TORCH_INDEX" "$TORCH"
pip "$TORCH" dist/tuckerseg-*.whl
.venv/bin/python -m cyclonedx_py environment --output-reproducible -o dist/tuckerseg.cdx.json "$work/venv/bin/python"
