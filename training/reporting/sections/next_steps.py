"""Where the numbers come from (above the report), and what to do with them (its last section)."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from training.reporting.document.blocks import Code, Paragraph, Section
from training.reporting.results.decision import Decision
from training.reporting.results.model_names import display_name
from training.reporting.results.run_results import RunResults


def facts(runs: Sequence[RunResults]) -> list[tuple[str, str]]:
    """Names and values: run, catalogue, date, command. Of several runs, the first gives the command."""
    first = runs[0].record
    dates = sorted(run.record.created for run in runs)
    created = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    names = ", ".join(run.folder.name for run in runs)
    products = f"{first.products.sampled:,} products"
    return [
        ("Run" if len(runs) == 1 else "Runs", names),
        ("Catalogue", f"{Path(first.source.path).name}, {products}, column {first.main.name}"),
        ("Trained", created),
        ("Command" if len(runs) == 1 else "Command of the first run", first.command),
    ]


def next_steps(run: RunResults, decision: Decision) -> Section:
    """The section with the commands that archive, serve and use the model to take."""
    folder, model = shlex.quote(str(run.folder)), decision.take
    several = "" if decision.fusion is None else f" (or {display_name(decision.fusion)})"
    steps = [
        (
            f"Archive {display_name(model)}{several}; the export checks that the archive answers as the model does:",
            f"python -m export --run {folder} --model {model}",
        ),
        (
            f"Serve it. A start loads the archives in config.properties: load_models={model}.mar",
            "python -m client serve",
        ),
        (
            "Score a catalogue. scores/review.csv is the queue of products that a person should look at:",
            f"python -m client score CATALOGUE --out scores --model {model}",
        ),
        (
            "Look for wrong labels in the products of this run; the corrections that you tick train the next one:",
            f"python -m client audit --run {folder} --out audit",
        ),
    ]
    blocks = [block for text, command in steps for block in (Paragraph(text), Code(command))]
    return Section("next", "Next steps", blocks)
