"""What a person is looking at now: the scene, its method runs and their events, the image cache."""
