"""Who is told of a run's progress: the terminal, history.csv, TensorBoard, W&B, MLflow."""
