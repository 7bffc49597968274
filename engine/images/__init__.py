"""From a picture file to pixels: read it, watch its folder, check it against a model, prepare it."""
