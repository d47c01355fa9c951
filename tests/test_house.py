"""The rules of the house: what no other test would notice."""

from __future__ import annotations

import ast
import importlib.resources
import re
import subprocess
import sys
from pathlib import Path

import pytest

import napari_medseg

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "napari_medseg"
SOURCES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES = 400  # of a file, blank ones not counted
MOST_FUNCTION_LINES = 60
MOST_BYTES = 10_000_000

UNSAFE_CALLS = {  # each runs code that a file brings, or may
    *("eval", "exec", "compile", "os.system", "os.popen", "torch.jit.load"),
    *("yaml.load", "yaml.unsafe_load", "marshal.loads", "shelve.open", "joblib.load"),
}
PICKLES = ("pickle", "dill", "cloudpickle", "marshal")


def tracked() -> list[Path]:
    """Files that git knows; skips where the tests run without a checkout."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("this is no git checkout")
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).exists()]


def dotted(node: ast.expr) -> str:
    """``torch.load`` as it stands in the source."""
    return ast.unparse(node) if isinstance(node, (ast.Name, ast.Attribute)) else ""


def test_napari_finds_the_manifest_that_lies_at_the_top() -> None:
    inside = importlib.resources.files(napari_medseg).joinpath("napari.yaml").read_text()
    assert inside == (ROOT / "napari.yaml").read_text()


def test_the_manifest_is_one_file_and_a_link_to_it() -> None:
    assert (PACKAGE / "napari.yaml").is_symlink()


def test_the_manifest_is_valid_and_bears_the_distributions_name() -> None:
    from npe2 import PluginManifest

    manifest = PluginManifest.from_file(ROOT / "napari.yaml")
    assert manifest.name == "napari-medseg"
    assert all(command.python_name for command in manifest.contributions.commands or ())


def test_the_changelog_knows_this_version_or_is_ahead_of_it() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert "## [Unreleased]" in text or f"## [{napari_medseg.__version__}]" in text


@pytest.mark.parametrize("module", ["napari_medseg", "napari_medseg.cli.root", "napari_medseg.io"])
def test_importing_is_light(module: str) -> None:
    code = f"import sys, {module}; print({{'torch', 'napari', 'qtpy'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_files_stay_short() -> None:
    lengths = {
        path: sum(1 for line in path.read_text().splitlines() if line.strip()) for path in SOURCES
    }
    assert {str(path): n for path, n in lengths.items() if n > MOST_LINES} == {}


def test_functions_stay_short() -> None:
    lengths = {
        f"{path}:{node.lineno} {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    assert {where: n for where, n in lengths.items() if n > MOST_FUNCTION_LINES} == {}


def is_unsafe(call: ast.Call) -> bool:
    """Whether a call runs code that a file or a string brings."""
    on = {
        word.arg
        for word in call.keywords
        if isinstance(word.value, ast.Constant) and word.value.value is True
    }
    if dotted(call.func) == "torch.load":
        return "weights_only" not in on
    return dotted(call.func) in UNSAFE_CALLS or bool({"shell", "allow_pickle"} & on)


def test_nothing_runs_code_that_a_file_brings() -> None:
    calls = [
        f"{path}:{node.lineno} {ast.unparse(node)}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and is_unsafe(node)
    ]
    assert calls == []


def test_only_the_pipe_to_our_own_child_pickles() -> None:
    pickling = re.compile(rf"\b({'|'.join(PICKLES)})\.(loads?|Unpickler)\b")
    found = {path.name for path in SOURCES if pickling.search(path.read_text())}
    assert found == {"jobs.py"}


@pytest.mark.parametrize(
    ("call", "unsafe"),
    [
        ("torch.load(p)", True),
        ("torch.load(p, weights_only=True)", False),
        ("np.load(p, allow_pickle=True)", True),
        ("np.load(p, allow_pickle=False)", False),
        ("subprocess.run(c, shell=True)", True),
        ("eval(text)", True),
        ("network.eval()", False),
    ],
)
def test_the_rule_knows_the_dangerous_calls(call: str, unsafe: bool) -> None:
    node = ast.parse(call, mode="eval").body
    assert isinstance(node, ast.Call)
    assert is_unsafe(node) is unsafe


def test_no_tracked_file_is_big() -> None:
    assert [path for path in tracked() if path.stat().st_size > MOST_BYTES] == []


def test_no_tracked_text_names_a_place_of_one_machine() -> None:
    # home folders and a root of somebody's work tree; /tmp and /usr are everybody's
    place = re.compile(r"(?<![\w.])/(?:home|root|Users|work|mnt|opt)/\w")
    texts = [p for p in tracked() if p.suffix in {".py", ".md", ".toml", ".sh", ".txt", ".yaml"}]
    found = [p for p in texts if p != Path(__file__) and place.search(p.read_text("utf-8"))]
    assert found == []


def test_every_test_that_the_table_of_tools_names_is_there() -> None:
    table = (ROOT / "docs" / "reference" / "correction-tools.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", table))
    written = "\n".join(
        path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/test_*.py")
    )
    missing = sorted(name for name in named if f"def {name}(" not in written)
    assert named
    assert not missing
