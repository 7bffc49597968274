"""The layout that screens with pictures share."""

OVER_NUMBERS = """
    {name} {{ background: $background; }}
    {name} #title {{
        dock: top; height: 1; background: $panel; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis;
    }}
    {name} #body {{ height: 1fr; }}
    {name} #numbers {{ height: auto; width: 100%; padding: 1 1 0 1; }}
    {name} #table-box {{ width: auto; height: auto; max-width: 66; margin: 0 3 0 0; }}
    {name} #facts {{ width: 1fr; height: 11; border-left: vkey $primary 40%; padding: 0 0 0 2; }}
    {name} #facts-text {{ color: $text-muted; }}
    {name} #facts:focus {{ border-left: vkey $primary; }}
    {name}.-slim #body {{ overflow-y: auto; }}
    {name}.-slim #numbers {{ layout: vertical; padding: 0 1; }}
    {name}.-slim #facts {{ width: 100%; height: auto; border-left: none; padding: 1 0 0 0; }}
"""
"""Rules for the screen of a name: a title, pictures (by the screen's own rules), and below them numbers and facts."""
