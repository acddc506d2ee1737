"""What torch.optim lacks: learning-rate schedules as functions of the epoch."""
