"""How the command ends, whatever it was asked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from napari_medseg import __version__
from napari_medseg.cli import main, root
from napari_medseg.cli.root import app
from napari_medseg.errors import LONGEST_LINE, InputError, MedsegError, ModelError

COMMANDS = (
    ["open"],
    ["info"],
    ["convert"],
    ["segment"],
    ["train"],
    ["finetune"],
    ["begin"],
    ["simulate"],
    ["evaluate"],
    ["rank"],
    ["models", "list"],
    ["models", "show"],
    ["models", "verify"],
)


def offer(monkeypatch, end: BaseException | Callable[[], None]) -> None:
    """A command `fail` that ends in this error, or does this."""
    broken = typer.Typer()
    broken.callback()(lambda: None)

    @broken.command()
    def fail() -> None:
        if callable(end):
            end()
        else:
            raise end

    monkeypatch.setattr(root, "app", broken)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_shows_an_example(medseg, command) -> None:
    ended = medseg(*command, "--help")
    assert ended.code == 0
    assert f"Example: medseg {' '.join(command)} " in ended.out


def test_every_command_is_covered_by_the_examples_above() -> None:
    names = set(typer.main.get_command(app).commands)
    assert names == {command[0] for command in COMMANDS}


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_reference_knows_every_option(words) -> None:
    text = (Path(__file__).parents[2] / "docs" / "reference" / "cli.md").read_text()
    command = typer.main.get_command(app)
    for word in words:
        command = command.commands[word]
    section = text.split(f"## `medseg {' '.join(words)}`")[1].split("\n## ")[0]
    options = {name for parameter in command.params for name in parameter.opts if name[0] == "-"}
    assert {name for name in options if name not in section} == set()


def test_version_is_the_packages(medseg) -> None:
    assert medseg("--version") == (0, f"medseg {__version__}\n", "")


@pytest.mark.parametrize(
    "words",
    [
        ["segment", "in.nii", "out.nii"],
        ["sgment"],
        ["info", "--jsn", "x"],
        ["models"],
        ["segment", "a.nii", "b.nii", "--model", "m", "--device", "tpu"],
        ["train", "d", "m.safetensors", "--minutes", "1", "--epochs", "1"],
        ["train", "d", "m.safetensors", "--minutes", "-1"],
        ["train", "d", "m.safetensors", "--set", "patch"],
        ["train", "d", "m.safetensors", "--set", "foo=1"],
        ["train", "d", "m.pth"],
        ["segment", "a.nii", "b.nii", "--model", "m", "--softmax", "./b.nii"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_one_line_and_code_2(medseg, words) -> None:
    ended = medseg(*words)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: medseg")
    assert ended.err.count("\n") == 1
    assert "--help" in ended.err


def test_a_typo_is_answered_with_the_nearest_command(medseg) -> None:
    assert "'segment'" in medseg("sgment").err


def test_no_command_is_wrong_usage(medseg) -> None:
    said = "error: medseg: Missing command; see 'medseg --help'\n"
    assert medseg() == (2, "", said)


def test_ctrl_c_while_the_program_loads_is_quiet() -> None:
    code = (
        "import sys\n"
        "class Stop:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'numpy': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Stop())\n"
        "from napari_medseg.cli import main\n"
        "sys.exit(main(['info', 'x.nii']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("must be a scan", "x.nii"), 3),
        (ModelError("must be whole", "x.safetensors"), 4),
        (InputError("word " * 200, "x.nii"), 3),
        (PermissionError(13, "Permission denied", "x.nii"), 3),
        (MemoryError(), 3),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_error_has_its_code_and_at_most_one_short_line(
    medseg, monkeypatch, error, code
) -> None:
    offer(monkeypatch, error)
    ended = medseg("fail")
    assert (ended.code, ended.out) == (code, "")
    lines = ended.err.splitlines()
    assert len(lines) == (code != 130)
    assert all(line.startswith("error: ") and len(line) <= LONGEST_LINE for line in lines)


def test_a_clusters_polite_stop_is_the_same_as_ctrl_c(medseg, monkeypatch) -> None:
    before = signal.getsignal(signal.SIGTERM)
    offer(monkeypatch, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert medseg("fail") == (130, "", "")
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("words", [["--debug", "fail"], ["fail", "--debug"]])
def test_debug_anywhere_lets_the_error_through(monkeypatch, words) -> None:
    offer(monkeypatch, InputError("must be a scan"))
    with pytest.raises(MedsegError, match="must be a scan"):
        main(words)


def test_a_fault_of_the_program_is_one_line_that_asks_for_a_report(capsys) -> None:
    root._one_line_hook(ValueError, ValueError("long\n" * 100), None)
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "ValueError" in err
    assert "--debug" in err


def test_the_module_runs_as_the_command_does_and_loads_neither_torch_nor_napari() -> None:
    code = (
        "import runpy, sys; sys.argv = ['medseg', 'info', 'nothing.nii']\n"
        "try: runpy.run_module('napari_medseg.cli', run_name='__main__')\n"
        "except SystemExit as end: print(end.code, {'torch', 'napari'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "3 set()\n"
    assert done.stderr.startswith("error: nothing.nii: ")
