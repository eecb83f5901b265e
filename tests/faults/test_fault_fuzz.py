"""Requests of every kind at a worker in this process: none escapes, none is slow, memory stays.

Here the whole of a worker runs but for its socket: what the front end sends is decoded, answered and encoded again.
"""

import logging
import random
import time
import warnings
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from fuzz import check_answer, requests
from hostile import HOSTILE, PICTURE
from hypothesis import HealthCheck, Phase, given, seed, settings
from pictures import turned
from scale import Figures, count
from serving import Request, Worker, document, form, same
from tqdm import tqdm

SEED = random.randrange(2**32)
# Hypothesis remembers what it tried: several runs of it keep what is measured apart from what measures.
ROUNDS, CALLS = 25, count(20, 2000)
GOOD = (form(image=PICTURE, text="red shoe"), form(text="bag"), form(image=turned(8)), document({"text": "plain bags"}))
LONG = ("0,000", "bomb", "MB", "million", "largest", "blanks", "too long", "filler")


@pytest.fixture(scope="module")
def worker(known_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Worker:
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(known_archive) as content:
        content.extractall(folder)
    return Worker(folder, model_name="known")


class Silence(logging.Handler):
    """Counts what a worker says: to requests it has nothing to say."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.said: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        if record.name != "ts.metrics.caching_metric":
            self.said[record.getMessage()] += 1


def memory(name: str) -> float:
    """Bytes of this process: ``VmRSS`` now, ``VmHWM`` at most since ``forget_peak``."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * float(next(line.split()[1] for line in lines if line.startswith(name)))


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def test_requests_of_every_kind(worker: Worker, figures: Figures) -> None:
    silence, escaped = Silence(), Counter[str]()
    statuses, worst, asked = Counter[int](), 0.0, 0

    def ask(request: Request) -> None:
        nonlocal worst, asked
        began, asked = time.process_time(), asked + 1
        try:
            [answer] = worker.ask(request)
            check_answer(answer)
        except Exception as error:
            escaped[f"{type(error).__name__}: {str(error)[:200]} at {request!r:.1000}"] += 1
        else:
            statuses[answer.status] += 1
        worst = max(worst, time.process_time() - began)

    for request in GOOD:
        ask(request)
    logging.getLogger().addHandler(silence)
    forget_peak()
    before = memory("VmRSS")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in a worker, where a warning is no error
        for number in tqdm(range(ROUNDS), desc="fuzzing", unit_scale=CALLS, unit="call", disable=None):
            options = settings(
                max_examples=CALLS,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            seed(SEED + number)(options(given(requests)(ask)))()
    logging.getLogger().removeHandler(silence)
    grown = memory("VmHWM") - before
    what = f"{asked} requests of every kind in process (seed {SEED})"
    answered = dict(sorted(statuses.items()))
    figures.require(
        what, "0 escapes", f"{escaped.total()} {dict(escaped.most_common(2)) or ''}; {answered}", not escaped
    )
    figures.require(what, "nothing logged", f"{dict(silence.said.most_common(2)) or 'nothing'}", not silence.said)
    figures.require(what, "worst call <= 2 s of processor time", f"{worst:.2f} s", worst <= 2)
    figures.require(what, "memory +300 MB at most", f"{grown / 1e6:+.0f} MB", grown <= 300e6)


def test_hostile_inputs_take_no_memory(worker: Worker, figures: Figures) -> None:
    """The large ones too, which the property test leaves out; one after the other, each from the same start."""
    worst, most = ("", 0.0), ("", 0.0)
    for request in GOOD:
        worker.ask(request)
    for name, (build, _) in HOSTILE.items():
        request = build()
        forget_peak()
        before, began = memory("VmRSS"), time.process_time()
        worker.ask(request)
        worst = max(worst, (name, time.process_time() - began), key=lambda pair: pair[1])
        most = max(most, (name, memory("VmHWM") - before), key=lambda pair: pair[1])
    what = f"{len(HOSTILE)} hostile inputs in process, one by one"
    figures.require(what, "<= 2 s of processor time", f"{worst[1]:.2f} s: {worst[0]}", worst[1] <= 2)
    figures.require(what, "memory +300 MB at most", f"{most[1] / 1e6:+.0f} MB: {most[0]}", most[1] <= 300e6)


def test_good_products_in_batches_with_bad_ones(worker: Worker, figures: Figures) -> None:
    """Exactly eight in a batch, which over HTTP only the moment decides."""
    chance = random.Random(SEED)
    bad = [build() for name, (build, _) in HOSTILE.items() if not any(sign in name for sign in LONG)]
    alone = {id(request): worker.ask(request)[0] for request in (*bad, *GOOD)}
    batches, differing = count(50, 500), 0
    for number in tqdm(range(batches), desc="batches", disable=None):
        some = 1 + number % 7
        batch = chance.choices(bad, k=some) + chance.choices(GOOD, k=8 - some)
        chance.shuffle(batch)
        answers = worker.ask(*batch)
        differing += sum(not same(answer, alone[id(one)]) for one, answer in zip(batch, answers, strict=True))
    what = f"{batches} batches of 8 with 1-7 bad items in process (seed {SEED})"
    figures.require(what, "answers equal their solo answers within 1e-5", f"{differing} differ", not differing)
