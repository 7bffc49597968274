"""Tasks and models: choose, add, describe, check, trust and remove them."""
