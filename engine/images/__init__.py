"""Files to pixels: reading, listing, compliance with a model, and the view that a network is fed."""
