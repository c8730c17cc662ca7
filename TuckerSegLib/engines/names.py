"""Names of devices and engines, free of PyTorch, so that any process can list them."""

NAMES = ("auto", "fused", "openvino", "openvino-bf16", "torch")

BY_NAME = f"{', '.join(NAMES[1:-1])} or {NAMES[-1]}"
"""Those that are not chosen by their speed, for the middle of a sentence."""

DEVICES = ("auto", "cpu", "cuda", "mps")
