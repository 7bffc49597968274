"""For people who make models: try one, report on it, draft its model.toml, convert its weights."""
