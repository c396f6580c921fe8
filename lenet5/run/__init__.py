"""Training runs on disk: configuration, construction, folder and history."""
