"""The graphs of an archive: TorchScript, ONNX and its parts, int8, with one copy of the weights."""
