"""Versioned ONNX models: the BentoML model store and the shipped files."""
