"""Find the base folders on this machine."""

import os
from collections.abc import Mapping
from pathlib import Path, PurePath

from nexa_node.contract.places import HOME_VARIABLE, bases


def base_folders(environ: Mapping[str, str] = os.environ) -> tuple[Path, Path]:
    """Say where configuration and state live: `NEXA_HOME`, or the platform's places."""
    if environ.get(HOME_VARIABLE):
        config, state = bases(environ, config=PurePath(), state=PurePath())
        return Path(config).absolute(), Path(state).absolute()
    import platformdirs

    dirs = platformdirs.PlatformDirs("nexa", appauthor=False)
    return dirs.user_config_path, dirs.user_state_path
