"""A training run on disk: its configuration, what is built from it, its folder, its history."""
