"""Images and their explanations: the folder, the picture, the wall of maps, zoom, save."""
