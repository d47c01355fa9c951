"""A better segmenter from corrected scans, and proof that it is one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from napari_medseg.correction.record import Example
from napari_medseg.errors import ModelError
from napari_medseg.jobs import Job, Notice, Progress
from napari_medseg.models import checkpoint
from napari_medseg.models.card import Lineage
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.preprocess.recipe import CleanRule
from napari_medseg.training.cleaning import upheld
from napari_medseg.training.config import FineTuneConfig, as_json
from napari_medseg.training.events import Outcome, OutcomeCard, Validated
from napari_medseg.training.examples import lessons_of, readable, strange_values
from napari_medseg.training.gate import Held, Marks, Verdict, astray, hold_back, verdict
from napari_medseg.training.memory import renewed
from napari_medseg.training.newlabels import doubted, widened
from napari_medseg.training.notebook import Notebook
from napari_medseg.training.pausing import pausable
from napari_medseg.training.runrecord import case_hash, record
from napari_medseg.training.split import Split, split_in, split_of
from napari_medseg.training.study import Snapshot, Study

UNCHECKED = (
    "Too little is corrected to hold some of it back: the new model will be kept aside unchecked, "
    "for you to judge. Correct another slice, two or more away, and it will be checked"
)
ABOUT = 0.01  # of the mean Dice in an exam: a smaller difference says little


def fine_tune(
    segmenter: Segmenter,
    examples: Sequence[Example],
    config: FineTuneConfig,
    known: Split = Split(),  # noqa: B008  a frozen value
    begin: Segmenter | None = None,
) -> Job[Outcome]:
    """Teach a copy of the segmenter with corrected scans; the segmenter stays as it is.

    Confirmed voxels are targets. Elsewhere the mask as it was left teaches weakly in corrected
    slices, and the parent's word where it is sure, if it finds most of what was painted; the cases
    in its memory are taught again, so that nothing is forgotten; with neither, the copy is held to
    the parent's own output. The candidate is what scored best on corrections that it has not seen,
    or the middle of the copy's way if that is about as good; it is adopted if it beats the parent
    and forgot nothing; if not, the next one goes on from the middle. Closing leaves nothing behind.

    Parameters
    ----------
    known
        Who teaches and who examines, beside what the segmenter's lineage says of that.
    begin
        The candidate of an earlier fine-tune of the same segmenter, which the gate kept aside: the
        copy sets out from there, so that what it learned so far is not lost. One that is much worse
        than the segmenter is left alone.

    Raises
    ------
    InputError
        No scan has the channels that the segmenter reads.
    TrainingError
        Nothing is corrected, or the loss stays not finite.
    """
    started = time.monotonic()
    threads = torch.get_num_threads()
    if config.threads:
        torch.set_num_threads(config.threads)
    try:
        yield Progress(0, len(examples), "Preparing the corrected scans")
        examples = yield from readable(examples, segmenter.recipe)
        learner, notices = widened(segmenter, examples, config.new_labels)
        recipe = learner.recipe
        yield from map(Notice, [*notices, *strange_values(examples, recipe, config.ignore)])
        lessons = yield from lessons_of(examples, recipe, config.ignore)
        held = hold_back(lessons, _sides(segmenter, known, begin), config.seed)
        study = yield from _study(segmenter, learner, held, config, begin)
        before = yield from study.score(study.whole)
        yield Validated(0, before.exam.dice, before.exam.jaccard, before.anchors.dice)
        if begin is not None:
            yield from study.set_out(begin, before)
        best, middle = yield from study.teach(before)
        chosen, said = judged(before, (best, middle), held, config)
        study.notebook.finish()
        clean = upheld(recipe.clean, examples)
        candidate = _candidate(segmenter, learner, held, config, chosen, said, clean)
        next_one = candidate if said.adopted else segmenter
        scores = dict(before.exam.dice), dict(chosen.marks.exam.dice)
        spent, sides = time.monotonic() - started, held.split.plain()
        return Outcome(next_one, candidate, *scores, said.adopted, said.why, spent, sides)
    finally:
        torch.set_num_threads(threads)


def _study(
    segmenter: Segmenter,
    learner: Segmenter,
    held: Held,
    config: FineTuneConfig,
    begin: Segmenter | None,
) -> Job[Study]:
    """What is learned from what, by whom, and where that is kept."""
    if config.gate and not held.exam:
        yield Notice(UNCHECKED)
    study = Study(learner, held, config, segmenter.recipe.n_outputs)
    yield from study.prepare()
    study.notebook = _notebook(config, segmenter, begin, held)
    return study


def _loaded(aside: Path) -> Job[Segmenter | None]:
    """A candidate that may be gone by now: nothing but the way there hangs on it."""
    try:
        return checkpoint.load(aside)
    except ModelError as error:
        yield Notice(f"Not going on from the last candidate: {error}")
        return None


def _sides(segmenter: Segmenter, known: Split, begin: Segmenter | None) -> Split:
    """Who teaches and who examines by now: also what taught the one that is gone on from."""
    split = split_of(segmenter.lineage.split).joined(known).joined(split_in(segmenter.memory))
    return split if begin is None else split.joined(split_of(begin.lineage.split))


def _notebook(
    config: FineTuneConfig, segmenter: Segmenter, begin: Segmenter | None, held: Held
) -> Notebook:
    """Where this fine-tune keeps its state; another one would not go on with it."""
    if not config.run_folder:
        return Notebook(config, "", ())
    lessons = (*held.train, *held.exam)
    cases = (case_hash(one.image.float().numpy(), one.target.numpy()) for one in lessons)
    parents = (one for one in (segmenter, begin) if one is not None)
    hashes = (checkpoint.weights_hash(checkpoint.joined(one)) for one in parents)
    return Notebook(config, " ".join(hashes), list(cases))


def fine_tune_file(
    model_path: Path,
    examples: Sequence[Example],
    config: FineTuneConfig,
    out: Path,
    known: Mapping[str, Any] | None = None,
    begin: Path | None = None,
) -> Job[OutcomeCard]:
    """As `fine_tune`, from file to file: the candidate is saved at `out`, adopted or not.

    May be sent a `Pause`.

    Raises
    ------
    ModelError
        The parent cannot be loaded.
    TrainingError
        As `fine_tune`.
    WriteError
        The candidate cannot be saved.
    """
    split = split_of(known or {})
    aside = None if begin is None else (yield from _loaded(begin))
    job = fine_tune(checkpoint.load(model_path), examples, config, split, aside)
    outcome = yield from pausable(job)
    yield Progress(0, 0, "Saving the new model")
    return OutcomeCard(
        candidate=checkpoint.save(outcome.candidate, out),
        before=outcome.before,
        after=outcome.after,
        adopted=outcome.adopted,
        why=outcome.why,
        seconds=outcome.seconds,
        cases=len(examples),
        split=outcome.split,
    )


def judged(
    before: Marks, known: Sequence[Snapshot], held: Held, config: FineTuneConfig
) -> tuple[Snapshot, Verdict]:
    """The best or the middle if it may be adopted; else what the next fine-tune may go on from.

    The middle comes first if it is about as good here: averages hold better on other cases.
    """
    pairs = [(one, verdict(before, one.marks, held.how, config.worst_drop)) for one in known]
    (best, said), (middle, _) = pairs
    if not config.gate:
        return best, Verdict(True, f"adopted without a gate: {said.why}")
    refused = pairs[0] if astray(before, middle.marks) else pairs[1]
    if best.marks.exam.mean - middle.marks.exam.mean <= ABOUT:
        pairs.reverse()
    return next((pair for pair in pairs if pair[1].adopted), refused)


def _candidate(
    parent: Segmenter,
    learner: Segmenter,
    held: Held,
    config: FineTuneConfig,
    best: Snapshot,
    said: Verdict,
    rules: tuple[CleanRule, ...],
) -> Segmenter:
    """What was learned as a model of its own, with what it must not forget.

    The learner is the parent, with the outputs of new labels.
    """
    candidate = Segmenter(
        parent.name,
        learner.network,
        best.weights,
        # what it learned now was never looked for coarsely
        replace(learner.recipe, scout=1.0, borders=False, clean=rules),
        Lineage(
            parent=checkpoint.weights_hash(checkpoint.joined(parent))[:12],
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            how="finetune",
            cases=len(held.train),
            scores=dict(best.marks.exam.dice),
            config=as_json(replace(config, run_folder="")),
            note=f"after {best.step} steps, {said.why}",
            split=held.split.plain(),
            run=record(
                case_hash(one.image.float().numpy(), one.target.numpy())
                for one in (*held.train, *held.exam)
            ),
        ),
    )
    memory = doubted(parent.memory, candidate, parent.recipe.n_outputs)
    kept = renewed(memory, held.train, held.exam, learner.recipe, config.memory_mb, config.seed)
    return replace(candidate, memory=kept)
