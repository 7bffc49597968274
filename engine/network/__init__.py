"""A bundle becomes a classifier: loading, structure, outputs, device."""
