"""Find the base folders on this machine."""

from collections.abc import Mapping
from pathlib import Path, PurePath

from nexa_node.contract import places


def base_folders(environ: Mapping[str, str]) -> tuple[Path, Path]:
    """Say where configuration and state live: `NEXA_HOME`, or the platform's places."""
    if environ.get(places.HOME_VARIABLE):
        config, state = places.bases(environ, config=PurePath(), state=PurePath())
        return Path(config).absolute(), Path(state).absolute()
    import platformdirs  # 10 ms, and needed only here

    dirs = platformdirs.PlatformDirs("nexa", appauthor=False)
    return dirs.user_config_path, dirs.user_state_path
