"""Training runs and their files: configuration, set-up, run folder and history."""
