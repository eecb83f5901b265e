"""The rules of the tree, read from the sources: who may import whom, and what every file has to look like."""

import ast
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("handlers", "training", "export", "client", "benchmarks")
MAY_IMPORT = {
    "handlers": set[str](),
    "training": {"handlers"},
    "export": {"handlers", "training"},
    "client": {"handlers", "training"},  # of training only CATALOGUE
    "benchmarks": {"handlers", "training", "export", "client"},
}
# What reads a catalogue, for training and for scoring; it stands on the handlers' leaves, on nothing else of training.
CATALOGUE = {f"training.catalog_{name}" for name in ("files", "table", "rows", "images")}
# The engine without a server is the handler itself, so that it answers as a server does.
RUNS_THE_HANDLER = {"client/scoring/local.py"}
# Inside handlers/ everything may know the settings and the errors; beyond that, only these.
LEAVES = {"settings", "product_errors"}
HANDLER_EDGES = {
    "preprocessing": {"product_picture"},
    "onnx_backend": {"backends"},
    "int8_backend": {"backends", "onnx_backend"},
    "cached_backend": {"backends", "preprocessing"},
    "openvino_backend": {"backends", "onnx_backend"},
    "torchscript_backend": {"backends"},
    "half_graph": {"backends", "torchscript_backend"},
    "graph_replay": {"backends"},
    "cuda_backend": {"backends", "graph_replay", "half_graph", "settings", "torchscript_backend"},
    "backend_choice": {
        "backends",
        "cuda_backend",
        "half_graph",
        "int8_backend",
        "onnx_backend",
        "openvino_backend",
        "settings",
        "torchscript_backend",
    },
    "product_explanation": {"backends", "preprocessing"},
    "product_calibration": {"product_hierarchy"},
    "product_scores": {"backends", "preprocessing", "product_calibration"},
    "product_answer": {"product_hierarchy"},
    "product_archive": {"product_hierarchy"},
}
# A worker puts a caller's PYTHONPATH before the model's folder: a common name could be taken from there.
TAKEN_NAMES = {"utils", "common", "config", "handler", "model", "helpers", "types", "errors", "test"}
ENGINES = {
    "onnx_backend": {"onnxruntime"},
    "openvino_backend": {"openvino"},
    "torchscript_backend": {"torch"},
    "half_graph": {"torch"},
    "cuda_backend": {"torch"},
}
HEAVY = {"torch", "onnxruntime", "openvino", "transformers", "torchvision", "pandas", "sklearn", "scipy", "matplotlib"}
MODELS = ("image", "text", "early", "intermediate", "late")
LONGEST_FILE = 350
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
    return {name.split(".")[0] for body in bodies for name, _ in imports(body)}


@every_shipped
def test_packages_import_only_what_stands_below_them(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    ours = {name.split(".")[0] for name, level in imports(tree_of(path)) if not level} & {*PACKAGES, "tests"}
    assert ours <= MAY_IMPORT[package] | {package}


@pytest.mark.parametrize("path", sources("client"), ids=name_of)
def test_clients_never_import_the_handler(path: Path) -> None:
    names = {name for name, _ in imports(tree_of(path))}
    assert "handlers.product_handler" not in names or name_of(path) in RUNS_THE_HANDLER


@pytest.mark.parametrize("path", sources("client"), ids=name_of)
def test_clients_take_of_training_only_the_reading_of_catalogues(path: Path) -> None:
    assert {name for name, _ in imports(tree_of(path)) if name.split(".")[0] == "training"} <= CATALOGUE


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_catalogues_are_read_without_the_rest_of_training(name: str) -> None:
    tree = tree_of(ROOT / f"{name.replace('.', '/')}.py")
    assert not {module.split(".")[0] for module, _ in imports(tree)} & HEAVY
    assert {module for module, _ in imports(tree) if module.split(".")[0] == "training"} <= CATALOGUE


@every_handler
def test_handlers_stand_on_leaves(path: Path) -> None:
    relative = {name for name, level in imports(tree_of(path)) if level}
    if path.stem != "product_handler":
        assert relative <= LEAVES | HANDLER_EDGES.get(path.stem, set())
    if path.stem in LEAVES:
        assert not relative


@every_handler
def test_handlers_import_alike_in_the_package_and_in_the_archive(path: Path) -> None:
    """Inside an archive ``__package__`` is empty; both branches of the switch have to name the same things."""
    tree = tree_of(path)
    switches = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "__package__"]
    inside = [node for switch in switches for node in switch.body]
    assert all(isinstance(node, ast.ImportFrom) and node.level == 1 for node in inside)
    flat = [ast.unparse(node) for switch in switches for node in switch.orelse]
    assert flat == [ast.unparse(node).replace("from .", "from ") for node in inside]
    neighbours = {neighbour.stem for neighbour in sources("handlers")}
    outside = [node for node in tree.body if node not in switches]
    assert not {name for node in outside for name, level in imports(node) if level or name in neighbours}


@every_handler
def test_handlers_load_no_engine_until_one_is_chosen(path: Path) -> None:
    tree = tree_of(path)
    assert not top_level_imports(tree) & HEAVY
    everywhere = {name.split(".")[0] for name, _ in imports(tree)}
    assert everywhere & HEAVY <= ENGINES.get(path.stem, set())
    if path.stem != "product_handler":
        assert "ts" not in everywhere


def test_only_the_server_side_knows_torchserve() -> None:
    users = {
        name_of(path)
        for path in sources(*PACKAGES)
        if "ts" in {name.split(".")[0] for name, _ in imports(tree_of(path))}
    }
    assert users <= {
        "handlers/product_handler.py",
        "export/load_check.py",
        "benchmarks/server_handlers/stock_handler.py",
    }


def test_the_handler_is_the_only_class_of_its_module() -> None:
    """TorchServe refuses a module that defines two."""
    tree = tree_of(ROOT / "handlers" / "product_handler.py")
    assert [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)] == ["ProductHandler"]
    assert not [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "handle"]


def test_what_ships_is_flat_and_has_names_of_its_own() -> None:
    names = [path.stem for path in sources("handlers")]
    assert all(path.parent == ROOT / "handlers" for path in sources("handlers"))
    assert not TAKEN_NAMES & set(names)
    assert not (ROOT / "handlers" / "__init__.py").read_text(encoding="utf-8").strip()


def test_the_registry_is_a_literal_of_five() -> None:
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
    tree = tree_of(path)
    assert not [node for node in tree.body if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)]
    assert "ImportError" not in ast.dump(tree), "a fallback import hides that something is missing"


def test_test_files_have_names_of_their_own() -> None:
    """Without ``__init__.py`` pytest imports them by their bare names."""
    names = sorted(path.name for path in sources("tests") if path.name not in ("conftest.py", "__init__.py"))
    assert not [name for name, group in itertools.groupby(names) if len(list(group)) > 1]
