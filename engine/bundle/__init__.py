"""One model folder: its files, their digest, and what model.toml and architecture.py declare."""
