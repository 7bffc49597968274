"""What holds for the tests of the app: a short guide, unless a test shows the whole one, and what saves time."""

from guides import use_guide  # noqa: F401
from painting import paint_for_looks  # noqa: F401
from style_sheets import parse_style_sheets_once  # noqa: F401
