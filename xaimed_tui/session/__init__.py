"""What is looked at now: scene, method runs and their events, image cache."""
