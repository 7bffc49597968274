"""Start the app and leave it: terminal, log, a quick exit, and the doctor."""
