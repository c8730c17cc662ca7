"""Machine code is made once, found again by another process, and made anew where what was kept is not whole or ours."""

# mypy: allow-untyped-calls

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from TuckerSegLib.engines.fused.compiled import llvm, machine_code
from TuckerSegLib.engines.fused.compiled.kernels import ActivationKernel, padded

pytestmark = pytest.mark.skipif(not llvm.available(), reason="llvmlite is not installed")


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Grows with each kernel that is written in LLVM's language."""
    found: list[str] = []
    text = llvm._text

    def noted(*of: object) -> str:
        found.append(text(*of))  # type: ignore[arg-type]
        return found[-1]

    monkeypatch.setenv("TUCKERSEG_CACHE", str(tmp_path))
    monkeypatch.setattr(llvm, "_text", noted)
    return found


def is_right() -> bool:
    """Whether a kernel that this process has not yet loaded does what it says."""
    llvm.compiled.cache_clear()
    y, scale, shift = torch.randn(7, 11), torch.rand(11) + 0.5, torch.randn(11)
    expected = torch.nn.functional.leaky_relu(y * scale + shift, 0.1)
    ActivationKernel(11, 0.1)(y, padded(scale[None]), padded(shift[None]))
    return torch.allclose(y, expected, atol=1e-5)


def kept(folder: Path) -> list[Path]:
    return [file for file in (folder / "engines").iterdir() if file.suffix != ".lock"]


def test_it_is_made_once(written: list[str], tmp_path: Path) -> None:
    assert is_right() and len(written) == 1
    assert len(kept(tmp_path)) == 1
    assert is_right() and len(written) == 1


@pytest.mark.parametrize(
    "damage", [lambda code: b"", lambda code: code[:-9], lambda code: code[:50] + b"x" + code[51:]],
    ids=["empty", "cut", "changed"],
)  # fmt: skip
def test_what_is_damaged_is_not_run(written: list[str], tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    assert is_right()
    (file,) = kept(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert is_right() and len(written) == 2
    assert file.read_bytes() == whole


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="files have no such owners here")
@pytest.mark.parametrize("of_others", ["owner", "writable"])
def test_what_another_user_may_have_written_is_not_run(
    written: list[str], tmp_path: Path, of_others: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_right()
    (file,) = kept(tmp_path)
    if of_others == "writable":
        file.chmod(0o666)
    else:
        user = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    assert is_right() and len(written) == 2


def test_it_is_another_one_for_other_instructions_or_another_version(
    written: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_right()
    monkeypatch.setattr(machine_code, "version_of", lambda package: "another")
    assert is_right() and len(written) == 2
    features = llvm._features()
    monkeypatch.setattr(llvm, "_features", lambda: {name: there for name, there in features.items() if name != "avx2"})
    assert is_right() and len(written) == 3


def test_it_is_made_where_nothing_can_be_kept(
    written: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("TUCKERSEG_CACHE", str(tmp_path / "file"))
    assert is_right() and is_right() and len(written) == 2
    assert [record.levelname for record in caplog.records] == ["WARNING"], "said once"
