"""The tasks and models on disk: names, listing, changes, adding a model, trash, hidden."""
