"""One model folder: its files, its digest, and what model.toml and architecture.py declare."""
