"""A training run on disk: configuration, construction, folder and history."""
