"""The command line, for scripts, batches and people who cannot use a screen: one file a command."""
