"""Names of devices and engines, free of PyTorch, so that any process can list them."""

NAMES = ("auto", "fused", "openvino", "openvino-bf16", "torch")

DEVICES = ("auto", "cpu", "cuda", "mps")
