"""What holds for the tests of faults: a short guide where they start the app, and what saves time."""

from guides import use_guide  # noqa: F401
from painting import paint_for_looks  # noqa: F401
from style_sheets import parse_style_sheets_once  # noqa: F401
