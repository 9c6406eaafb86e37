"""What all tests share: a clean environment, and hypothesis' profiles."""

import os

from hypothesis import settings

# Textual reads these when it is imported; a developer's own must not change a picture.
for variable in ("NO_COLOR", "TEXTUAL_THEME", "NEXA_HOME", "NEXA_URL", "NEXA_TOKEN"):
    os.environ.pop(variable, None)
os.environ["TEXTUAL_ANIMATIONS"] = "none"

settings.register_profile("ci", derandomize=True, deadline=None)
settings.load_profile("ci")
