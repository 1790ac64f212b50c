"""What computes a bundle's answers: onnxruntime, or OpenVINO where it is installed; without torch."""
