"""Start the app and leave it: start-up, leaving, log, doctor."""
