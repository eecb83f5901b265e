"""Every kind of broken form, again and again: the front end answers, keeps no memory and serves on."""

import math
from collections import Counter
from collections.abc import Callable

from broken_forms import BROKEN_FORMS, front_end_megabytes, padding
from live_server import first_answer
from scale import Figures, count
from tqdm import tqdm

from benchmarks.server.load.connections import encode
from client.archives.model_store import Archive
from client.server.config import ServerConfig

GROWTH = 400


def test_broken_forms_leave_no_memory(
    *,
    config: ServerConfig,
    archive: Archive,
    processes: Callable[[], dict[int, bool]],
    requests: list[bytes],
    figures: Figures,
) -> None:
    """In the short run one form of each kind; in the full one 500, 9 GB in all."""
    times, pad, before = count(1, 500), padding(count(2_000_000, 200_000)), processes()
    headers = config.tokens().headers("inference")
    start, peak = front_end_megabytes(config), 0.0
    wrong: Counter[str] = Counter()
    for name, (kind, build, expected) in tqdm(BROKEN_FORMS.items(), desc="broken forms", unit="kinds", disable=None):
        body = build(pad)
        request = encode(f"/predictions/{archive.model}", headers={**headers, "Content-Type": kind}, body=body)
        for _ in range(times):
            status, _ = first_answer(config.inference_url, request)
            wrong[f"{name}: {status}, not {expected}"] += status != expected
        peak = max(peak, front_end_megabytes(config))
    good = Counter(first_answer(config.inference_url, request)[0] for request in requests)
    what = f"{times} of each of {len(BROKEN_FORMS)} kinds of broken forms, {math.ceil(len(pad) / 1000)} KB each"
    figures.require(what, "0 unexpected answers", f"{+wrong}", not +wrong)
    figures.require(
        what, f"front end: +{GROWTH} MB at most", f"{start:.0f} MB, at most {peak:.0f}", peak - start <= GROWTH
    )
    figures.require(
        what, "good products answered, no dead worker", f"{good}", set(good) == {200} and before == processes()
    )
