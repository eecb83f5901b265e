"""The rules of the tree, read from the sources: who may import whom, and what every file has to look like."""

import ast
import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("handlers", "training", "export", "client", "benchmarks")
# Which folder may import which others, from the ground up; a folder may always import itself, and nothing else of ours.
SERVING = "handlers/product_serving"
HANDLERS = {SERVING, f"{SERVING}/engines", f"{SERVING}/standalone"}
BELOW_PIPELINE = {
    *(
        f"training/{name}"
        for name in (
            "system",
            "catalog",
            "catalog/corrections",
            "catalog/pictures",
            "data",
            "data/damage",
            "models",
            "models/weights",
            "scores",
            "features",
            "fit",
            "run",
        )
    ),
    SERVING,
}
REPORTING = {f"training/reporting/{name}" for name in ("results", "figures", "document", "sections")}
CLIENT_READS = {"training/catalog", "training/system"}
SERVER_ROOMS = {"client/api", "client/archives", "client/server", "client/rollout"}
CLIENT_TASKS = {"client/scoring", "client/audit", "client/drift", "client/page"}
MAY_IMPORT: dict[str, set[str]] = {
    f"{SERVING}/engines": set(),
    f"{SERVING}/titles": set(),
    SERVING: {f"{SERVING}/engines", f"{SERVING}/titles"},
    f"{SERVING}/standalone": {SERVING},
    "handlers": {SERVING},
    "training/system": {SERVING},
    "training/catalog/drawing": set(),
    "training/catalog/formats": set(),
    "training/catalog/pictures": {SERVING, "training/catalog/formats"},
    "training/catalog/rewriting": {"training/catalog/formats"},
    "training/catalog/corrections": {"training/catalog/formats"},
    "training/catalog": {
        SERVING,
        f"{SERVING}/titles",
        "training/system",
        "training/catalog/corrections",
        "training/catalog/drawing",
        "training/catalog/formats",
        "training/catalog/rewriting",
        "training/catalog/pictures",
    },
    "training/fetch": {
        SERVING,
        "training/system",
        "training/catalog",
        "training/catalog/formats",
        "training/catalog/pictures",
    },
    "training/data/damage": set(),
    "training/data": {
        SERVING,
        "training/system",
        "training/catalog",
        "training/catalog/corrections",
        "training/catalog/pictures",
        "training/data/damage",
    },
    "training/models/weights": set(),
    "training/models": {SERVING, f"{SERVING}/titles", "training/system", "training/models/weights"},
    "training/scores": {SERVING, "training/system", "training/data"},
    "training/features": {SERVING, "training/system", "training/data", "training/models"},
    "training/fit": {"training/system", "training/data", "training/scores"},
    "training/run": BELOW_PIPELINE,
    "training/pipeline": BELOW_PIPELINE,
    "training/evaluation": {*BELOW_PIPELINE, "training/pipeline"},
    **{name: {*BELOW_PIPELINE, *REPORTING, "training/pipeline", "training/evaluation"} for name in REPORTING},
    "training/reporting": {*BELOW_PIPELINE, *REPORTING},
    "training": {*BELOW_PIPELINE, "training/fetch", "training/pipeline", "training/evaluation", "training/reporting"},
    "export/graphs": {*HANDLERS, f"{SERVING}/titles", *BELOW_PIPELINE},
    "export/targets": {SERVING, "training/system", "client/api", "client/archives"},
    "export": {*HANDLERS, f"{SERVING}/titles", *BELOW_PIPELINE, "export/graphs", "export/targets"},
    "client/api": set(),
    "client/archives": {SERVING, "training/system", "client/api"},
    "client/server": {SERVING, "training/system", "client/api", "client/archives"},
    "client/rollout": {"client/api", "client/archives", "client/server", "training/system"},
    "client/scoring": {"handlers", *HANDLERS, *CLIENT_READS, "client/api", "client/archives", "client/server"},
    "client/audit": {*CLIENT_READS, "client/api", "client/scoring"},
    "client/drift": {SERVING, *CLIENT_READS, "client/api", "client/archives"},
    "client/page/product": {SERVING, *CLIENT_READS, *SERVER_ROOMS, "client/scoring"},
    "client/page/review": {SERVING, *CLIENT_READS, "client/api", "client/scoring", "client/page/product"},
    "client/page": {
        SERVING,
        *CLIENT_READS,
        *SERVER_ROOMS,
        "client/scoring",
        "client/page/product",
        "client/page/review",
    },
    "client/commands": {*CLIENT_READS, *SERVER_ROOMS, *CLIENT_TASKS},
    "client": {*CLIENT_READS, "client/api", "client/commands"},
}
BENCH = "benchmarks/server"
# The rooms of the benchmarks have one direction among themselves; all that they measure stands below them.
BENCHMARK_ROOMS: dict[str, set[str]] = {
    "benchmarks": set(),
    f"{BENCH}/handlers": set(),
    f"{BENCH}/peers": set(),
    f"{BENCH}/load": set(),
    f"{BENCH}/systems": {f"{BENCH}/load"},
    f"{BENCH}/measure": {f"{BENCH}/load", f"{BENCH}/systems", f"{BENCH}/peers"},
    f"{BENCH}/report": {f"{BENCH}/load", f"{BENCH}/systems", f"{BENCH}/measure"},
    BENCH: {f"{BENCH}/{name}" for name in ("load", "systems", "measure", "report")},
    "benchmarks/studies": {f"{BENCH}/systems", f"{BENCH}/report"},
}
# Of training a client takes the reading of catalogues, the writing of files, and the handling of signals.
CLIENT_DOORS = {"training.catalog", "training.system.interrupts", "training.system.storage"}
# The engine without a server is the handler itself, so that it answers as a server does.
RUNS_THE_HANDLER = {"client/scoring/local.py"}
ENGINES = {
    "onnx": {"onnxruntime"},
    "openvino": {"openvino"},
    "torchscript": {"torch"},
    "half_precision": {"torch"},
    "cuda": {"torch"},
}
HEAVY = {"torch", "onnxruntime", "openvino", "transformers", "torchvision", "pandas", "sklearn", "scipy", "matplotlib"}
MODELS = ("image", "text", "lexical", "early", "intermediate", "late")
STARTUP = "sitecustomize.py"
LONGEST_FILE = 350
MOST_FILES = 16
LONGEST_FUNCTION = 60


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


every_source = pytest.mark.parametrize("path", sources(*PACKAGES, "tests"), ids=name_of)
every_shipped = pytest.mark.parametrize("path", sources(*PACKAGES), ids=name_of)
every_handler = pytest.mark.parametrize("path", sources("handlers"), ids=name_of)


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Imported modules with the level of a relative import, wherever they stand."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "", node.level


def top_level_imports(tree: ast.Module) -> set[str]:
    """First names of what is imported when the module is, functions left out."""
    bodies = [node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return {name.split(".")[0] for body in bodies for name, level in imports(body) if not level}


def folder_of(module: str) -> str:
    """The folder that a module of ours lies in; that of a package is its own."""
    path = ROOT / module.replace(".", "/")
    return name_of(path if path.is_dir() else path.parent)


def own_imports(path: Path) -> set[str]:
    """Modules of ours that a file imports, by their full names.

    What runs inside an exported target imports relatively what lies there and not here; that is none of ours.
    """
    package = path.relative_to(ROOT).parent.parts
    found = set()
    for name, level in imports(tree_of(path)):
        full = ".".join([*package[: len(package) - level + 1], *([name] if name else [])]) if level else name
        place = ROOT / full.replace(".", "/")
        if full.split(".")[0] in (*PACKAGES, "tests") and (place.is_dir() or place.with_suffix(".py").is_file()):
            found.add(full)
    return found


@every_shipped
def test_folders_import_only_what_stands_below_them(path: Path) -> None:
    folder = name_of(path.parent)
    if folder.startswith("benchmarks"):
        others = {folder_of(name) for name in own_imports(path) if name.startswith("benchmarks")}
        assert others <= BENCHMARK_ROOMS[folder] | {folder}
    else:
        assert {folder_of(name) for name in own_imports(path)} <= MAY_IMPORT[folder] | {folder}


def test_the_rules_name_folders_that_are_there() -> None:
    tables = (MAY_IMPORT, BENCHMARK_ROOMS)
    rules = {name for table in tables for folder, below in table.items() for name in (folder, *below)}
    assert not [name for name in rules if not (ROOT / name).is_dir()]


@pytest.mark.parametrize("path", sources("client"), ids=name_of)
def test_clients_never_import_the_handler(path: Path) -> None:
    assert "handlers.product_handler" not in own_imports(path) or name_of(path) in RUNS_THE_HANDLER


@pytest.mark.parametrize("path", sources("client"), ids=name_of)
def test_clients_take_of_training_only_its_doors(path: Path) -> None:
    assert {name for name in own_imports(path) if name.split(".")[0] == "training"} <= CLIENT_DOORS


@pytest.mark.parametrize("door", sorted(CLIENT_DOORS))
def test_what_a_client_takes_of_training_loads_nothing_heavy(door: str) -> None:
    program = f"import sys, {door}; print(*{{name.split('.')[0] for name in sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not set(loaded.stdout.split()) & HEAVY


@every_handler
def test_handlers_import_one_another_relatively(path: Path) -> None:
    """Inside an archive the package has no parent; only the entry point knows both worlds."""
    ours = {name.split(".")[0] for name, level in imports(tree_of(path)) if not level}
    if path.stem == "product_handler":
        assert "product_serving" in ours
    else:
        assert not ours & {*PACKAGES, "product_serving"}


@every_handler
def test_handlers_load_no_engine_until_one_is_chosen(path: Path) -> None:
    tree = tree_of(path)
    assert not top_level_imports(tree) & HEAVY
    everywhere = {name.split(".")[0] for name, level in imports(tree) if not level}
    assert everywhere & HEAVY <= ENGINES.get(path.stem, set())
    assert "ts" not in everywhere


def test_only_the_server_side_knows_torchserve() -> None:
    users = {
        name_of(path)
        for path in sources(*PACKAGES)
        if "ts" in {name.split(".")[0] for name, _ in imports(tree_of(path))}
    }
    assert users <= {
        "export/load_check.py",
        "benchmarks/server/handlers/stock_handler.py",
    }


def test_the_handler_is_the_only_class_of_its_module() -> None:
    """TorchServe refuses a module that defines two."""
    tree = tree_of(ROOT / "handlers" / "product_handler.py")
    assert [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)] == ["ProductHandler"]
    assert not [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "handle"]


def test_an_archive_has_one_module_and_one_package_at_its_root() -> None:
    """What lies at the root can be shadowed by a caller's PYTHONPATH: two names, which nobody else has.

    The third one runs first in a worker; without it the worker only starts more slowly.
    """
    root = {path.name for path in (ROOT / "handlers").iterdir() if path.name != "__pycache__"}
    assert root == {"__init__.py", "product_handler.py", "product_serving", STARTUP}


@every_shipped
def test_a_folder_holds_some_fifteen_files(path: Path) -> None:
    assert len(list(path.parent.glob("*.py"))) <= MOST_FILES


def test_the_registry_is_a_literal_of_six() -> None:
    tree = tree_of(ROOT / "training" / "models" / "__init__.py")
    [registry] = [
        node.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "MODELS"
    ]
    assert isinstance(registry, ast.Dict)
    keys = [key.value for key in registry.keys if isinstance(key, ast.Constant)]
    assert tuple(keys) == MODELS
    assert all(isinstance(value, ast.Name) for value in registry.values)


@every_shipped
def test_modules_and_what_they_offer_have_docstrings(path: Path) -> None:
    tree = tree_of(path)
    if not tree.body:
        return
    nodes = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef))
    missing = [node.name for node in nodes if not node.name.startswith("_") and not ast.get_docstring(node)]
    assert ast.get_docstring(tree) and not missing


@every_source
def test_files_stay_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


@every_shipped
def test_functions_stay_short(path: Path) -> None:
    functions = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert not [node.name for node in functions if (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION]


@every_shipped
def test_no_error_is_swallowed(path: Path) -> None:
    handlers = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.ExceptHandler)]
    assert not [node.lineno for node in handlers if node.type is None]
    assert not [node.lineno for node in handlers if all(isinstance(line, ast.Pass) for line in node.body)]


@every_handler
def test_handlers_do_nothing_when_imported(path: Path) -> None:
    if path.name == STARTUP:  # Python itself imports it, for what it does
        return
    tree = tree_of(path)
    assert not [node for node in tree.body if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)]
    assert "ImportError" not in ast.dump(tree), "a fallback import hides that something is missing"


def test_test_files_have_names_of_their_own() -> None:
    """Without ``__init__.py`` pytest imports them by their bare names."""
    names = sorted(path.name for path in sources("tests") if path.name not in ("conftest.py", "__init__.py"))
    assert not [name for name, group in itertools.groupby(names) if len(list(group)) > 1]
