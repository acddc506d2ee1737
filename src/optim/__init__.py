"""Parameter groups, the Muon optimizer and learning-rate schedules."""
