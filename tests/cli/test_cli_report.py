"""What goes to stdout, what to stderr."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_medseg.cli import report as report_module
from napari_medseg.cli.report import Report, about, aligned, in_words, plain
from napari_medseg.errors import InputError
from napari_medseg.jobs import Job, Notice, Progress


def job(*events: object) -> Job[str]:
    yield from events
    return "done"


def test_json_is_one_document_with_the_warnings_in_it(capsys) -> None:
    report = Report(as_json=True)
    report.warn("scan.nii", "spacing is odd")
    report.give({"n": 1}, [("n", 1)])
    said = capsys.readouterr()
    assert json.loads(said.out) == {"n": 1, "warnings": ["scan.nii: spacing is odd"]}
    assert said.err == "warning: scan.nii: spacing is odd\n"


def test_people_get_a_table(capsys) -> None:
    Report(as_json=False).give({"n": 1}, [("label", "ml"), ("liver", 1503.25)])
    assert capsys.readouterr().out == "label  ml\nliver  1503\n"


def test_a_warning_comes_once_and_on_one_line(capsys) -> None:
    report = Report(as_json=True)
    report.warn_all("a", ["two\nlines", "two\nlines"])
    assert capsys.readouterr().err == "warning: a: two lines\n"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), None),
        (np.float32(0.5), 0.5),
        (np.array([[1, 2]]), [[1, 2]]),
        ((1, float("inf")), [1, None]),
        ({1: np.int64(3)}, {"1": 3}),
        (True, True),
    ],
)
def test_values_become_what_json_knows(value, expected) -> None:
    assert plain(value) == expected


def test_columns_align_and_what_is_no_number_is_a_dash() -> None:
    assert aligned([("a", "bb"), ("ccc", float("nan"))]) == ["a    bb", "ccc  –"]


def test_a_dice_that_is_none_is_a_dash() -> None:
    assert in_words({"liver": 0.5, "spleen": float("nan")}) == "liver 0.500, spleen –"


def test_a_followed_job_gives_its_result_and_says_its_notices(capsys) -> None:
    report = Report(as_json=False)
    assert report.follow(job(Progress(1, 2), Notice("using the CPU")), "scan") == "done"
    assert capsys.readouterr().err == "warning: scan: using the CPU\n"


def test_a_pipe_gets_no_progress_bar(capsys) -> None:
    Report(as_json=False).follow(job(Progress(1, 2), Progress(2, 2)), "scan")
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_progress_bar(capsys, monkeypatch) -> None:
    monkeypatch.setattr(report_module.sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    Report(as_json=False).follow(job(Progress(1, 2, "tile 1")), "scan")
    assert "scan · tile 1" in capsys.readouterr().err


def test_stopping_closes_the_job_before_it_goes_on() -> None:
    closed = []

    def slow() -> Job[None]:
        try:
            yield Progress(0, 0)
            yield Progress(1, 0)
        finally:
            closed.append(True)

    def stop(_: object) -> object:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Report(as_json=False).follow(slow(), "scan", stop)
    assert closed == [True]


def test_an_error_without_a_name_gets_the_one_it_is_about() -> None:
    with pytest.raises(InputError, match=r"scan\.nii: must be 3-D"), about("scan.nii"):
        raise InputError("must be 3-D")


def test_an_error_with_a_name_keeps_it() -> None:
    with pytest.raises(InputError, match=r"^mask\.nii: "), about("scan.nii"):
        raise InputError("must be 3-D", "mask.nii")
