"""``python -m export --target python``: an archive's content as an importable package with a function ``load``."""

import keyword
import sys
from pathlib import Path

from export.targets.bundle import TargetError, check, copy_module, put, requirements, unpacked


def write_package(archive: Path, package: Path, *, replace: bool = False) -> Path:
    """Write a package around the content of a verified archive.

    Args:
        archive: path of the ``.mar``.
        package: folder to write; its name is the name to import.
        replace: overwrite a package that is there.

    Returns:
        ``package``.

    Raises:
        TargetError: the archive cannot be used, the folder exists, or its name cannot be imported.
    """
    require_free(package, replace=replace)
    with unpacked(archive, beside=package) as content:
        copy_module("package_init.py", content.folder / "__init__.py")
        (content.folder / "requirements.txt").write_text(requirements(), encoding="utf-8")
        check(content.folder)
        put(content.folder, package)
    return package


def require_free(package: Path, *, replace: bool) -> None:
    """Refuse a folder before the work begins.

    Raises:
        TargetError: its name cannot be imported, or it exists and may not be replaced.
    """
    name = package.absolute().name
    if not name.isidentifier() or keyword.iskeyword(name) or name in sys.stdlib_module_names:
        raise TargetError(
            f"--out {package}: `import {name}` would not find it; end the path with a name of letters, digits and "
            "underscores that Python does not use itself, such as product_model"
        )
    if not package.exists():
        return
    ours = package.is_dir() and (package / "product_serving").is_dir() and (package / "__init__.py").is_file()
    if not ours:
        raise TargetError(f"--out {package} exists and is no package of this export; choose another folder")
    if not replace:
        raise TargetError(f"--out {package} exists; choose another folder, or add --replace")
