"""What a run leaves behind: history, result.json, TensorBoard, figures, tables."""
