"""The folder that a server writes to, where the project itself is read-only.

TorchServe runs there, because it writes into its working folder. There it also looks for the relative paths of its
configuration, so each of them gets a link.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from client.api.errors import ClientError
from client.server.config import STATE_VARIABLE, ServerConfig

_PATHS = (
    "model_store",
    "workflow_store",
    "metrics_config",
    "keystore",
    "private_key_file",
    "certificate_file",
    "plugins_path",
)
_OF_JAVA = re.compile(r"-D[\w.]+=(\S+)")


def link_paths(config: ServerConfig) -> None:
    """Make the relative paths of a configuration lead from the server's folder to the same files.

    Raises:
        ClientError: a path leads out of the configuration's folder, or another file has the name of a link.
    """
    if config.state.samefile(config.folder):
        return
    for name in {path.parts[0] for path in _relative_paths(config)}:
        if name == "..":
            raise ClientError(f"{config.path}: with {STATE_VARIABLE}, write a whole path in place of one with `..`")
        link, target = config.state / name, config.folder / name
        if link.is_symlink():
            link.unlink()
        elif link.exists():
            raise ClientError(f"{link} is in the way of a link to {target}; move it, or name another {STATE_VARIABLE}")
        link.symlink_to(target)


def _relative_paths(config: ServerConfig) -> Iterator[Path]:
    values = [config.settings.get(key, "") for key in _PATHS]
    values += _OF_JAVA.findall(config.settings.get("vmargs", ""))
    for path in map(Path, filter(None, values)):
        if not path.is_absolute() and (config.folder / path).exists():
            yield path
