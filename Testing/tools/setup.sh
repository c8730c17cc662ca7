#!/bin/sh
# Makes .venv with the package, its extras and the tools that check it. Called by the Makefile, from the checkout.
set -eu

if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "Python 3.11 or later is needed: install it, or name it with 'make PYTHON=...'." >&2
    exit 1
fi

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# Debian keeps ensurepip, and the libraries that Qt's widgets are drawn with, in packages of their own.
apt_install() {
    command -v apt-get >/dev/null && as_root apt-get update -qq && as_root apt-get install -y -qq "$@" >/dev/null
}

"$PYTHON" -c 'import ensurepip' 2>/dev/null || apt_install python3-venv || {
    echo "Python's venv module is missing: run 'sudo apt install python3-venv' and try again." >&2
    exit 1
}
ldconfig -p 2>/dev/null | grep -q libEGL.so.1 ||
    apt_install libegl1 libgl1 libxkbcommon0 libdbus-1-3 libfontconfig1 fonts-dejavu-core ||
    echo "Some libraries for Qt are missing: the tests of the panel will be skipped." >&2
ldconfig -p 2>/dev/null | grep -q libGL.so.1 && ls /usr/lib/*/dri/*swrast* >/dev/null 2>&1 ||
    apt_install libgl1 libgl1-mesa-dri ||
    echo "To draw 3D Slicer's views in a browser, run 'sudo apt install libegl1 libgl1 libgl1-mesa-dri'." >&2
command -v chromium >/dev/null || command -v google-chrome >/dev/null || apt_install chromium ||
    echo "There is no Chromium: the tests of the application in a browser will be skipped." >&2

[ -x .venv/bin/python ] || "$PYTHON" -m venv .venv
pip() { .venv/bin/python -m pip --disable-pip-version-check "$@"; }

# First alone and without what it needs, so that the extra index is asked for PyTorch only; then everything
# else, with PyTorch held where it is: a second step may otherwise replace it by a CUDA build.
.venv/bin/python -c 'import torch' 2>/dev/null ||
    pip install -q --no-deps --retries 1 --extra-index-url "$TORCH_INDEX" "$TORCH"
torch=$(.venv/bin/python -c 'from importlib.metadata import version; print("torch==" + version("torch"))')
pip install -q "$torch" "nnunetv2==2.6.0" -e ".[scene,app,openvino,cohort,docs,dev]"
# TotalSegmentator's fury asks for a VTK older than the one 3D Slicer's core is built on; neither is used here.
pip install -q --no-deps "TotalSegmentator==2.18.0"
