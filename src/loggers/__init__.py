"""Who is told of a run's progress: the terminal, TensorBoard, history.csv."""
