"""Other programs that run networks, where they are installed: the original network in ONNX Runtime and in OpenVINO."""
