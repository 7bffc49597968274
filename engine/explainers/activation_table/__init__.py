"""LIME's first layers, computed once and looked up: where to cut, what each unit sees, the table."""
