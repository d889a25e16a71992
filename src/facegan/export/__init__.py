"""Models as files that run elsewhere: ONNX, and a folder for the Hugging Face hub."""
