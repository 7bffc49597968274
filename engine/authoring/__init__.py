"""For people who make models: check, self-test, draft, convert, report."""
