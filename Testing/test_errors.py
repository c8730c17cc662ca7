"""What systems, libraries and devices say when memory runs out is known as that, and nothing else is."""

import pytest
import torch

from TuckerSegLib.errors import is_lack_of_memory, suggestion


class WindowsError1455(OSError):
    """As Windows raises it, in whatever language it speaks."""

    winerror = 1455


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 8000000000 bytes."),
        RuntimeError(
            "[enforce fail] DefaultCPUAllocator: can't allocate memory: error code 12 (Cannot allocate memory)"
        ),
        RuntimeError("std::bad_alloc"),
        RuntimeError("bad allocation"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("CUDA driver error: CUDA_ERROR_OUT_OF_MEMORY"),
        RuntimeError("Invalid buffer size: 12.50 GiB"),
        RuntimeError("MPS backend out of memory (MPS allocated: 9.00 GB, other allocations: 1.00 GB)"),
        OSError("The paging file is too small for this operation to complete. (os error 1455)"),
        RuntimeError("Couldn't open shared file mapping: <torch_1>, error code: <1455>"),
        WindowsError1455("Die Auslagerungsdatei ist zu klein"),
    ],
    ids=lambda error: str(error)[:40],
)
def test_memory_ran_out(error: BaseException) -> None:
    assert is_lack_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: no kernel image is available for execution on the device"),
        NotImplementedError("Conv3D is not supported on MPS"),
        RuntimeError("Sizes of tensors must match except in dimension 1. Expected size 1455 but got size 7."),
        OSError(2, "No such file or directory"),
    ],
    ids=lambda error: str(error)[:40],
)
def test_something_else_failed(error: BaseException) -> None:
    assert not is_lack_of_memory(error)


def test_an_unknown_word_is_answered_with_the_most_similar_known_one() -> None:
    known = ["liver", "spleen", "heart"]
    assert suggestion("livr", known, "see the list.") == "did you mean liver?"
    assert suggestion("xyz", known, "see the list.") == "see the list."
