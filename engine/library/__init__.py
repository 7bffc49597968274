"""The tasks and models on disk: list, name, add, describe, hide, remove and restore them."""
