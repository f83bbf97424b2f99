"""Models: how a raw ONNX output becomes a probability over SELL, HOLD and BUY."""
