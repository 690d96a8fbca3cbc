"""What decides no number: files, checkpoints, locks, signals, GPU slots, logs, progress, status."""
