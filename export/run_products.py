"""The products of a run that an export needs: to verify on, to calibrate on, to fit a cascade on."""

import dataclasses
from pathlib import Path

import pandas as pd

from export.golden import CANDIDATES
from training.catalog.files import LIMITS
from training.catalog.pictures.photograph import shrunk
from training.catalog.reading import Catalog, read_catalog
from training.data.corrections import reapply_corrections
from training.run.checkpoint import RunError
from training.run.record import read_run


@dataclasses.dataclass(frozen=True)
class RunProducts:
    """Products of one split part of a run, with their catalogue.

    Args:
        catalog: holds the pictures.
        products: rows with ``id, image, text, label``.
    """

    catalog: Catalog
    products: pd.DataFrame

    def pairs(self) -> list[tuple[bytes | None, str | None]]:
        """Return (picture, title) of each product; None for a missing one."""
        return [
            (shrunk(self.catalog.image_bytes(image), LIMITS) if image else None, text or None)
            for image, text in zip(self.products["image"], self.products["text"], strict=True)
        ]


def read_run_products(run: Path, *, limit: int | None, seed: int = 0, part: str = "test") -> RunProducts:
    """Read one split part of a run, or a random sample of it.

    Args:
        run: the run folder.
        limit: the most products; None takes all.
        seed: of the sample.
        part: ``test``, or ``train`` to calibrate on.

    Raises:
        RunError: the catalogue no longer holds the run's products.
    """
    record = read_run(run)
    catalog = read_catalog(record.source, check_images=False, max_rejected=1.0)
    split = pd.read_csv(run / "split.csv", dtype=str, keep_default_na=False)
    ids = split.loc[split["part"] == part, "id"]
    products = catalog.products[catalog.products["id"].isin(ids)]
    products = reapply_corrections(run, products, target=record.main.name)
    if len(products) < len(ids):
        raise RunError(
            f"{record.source.path} holds {len(products)} of the {len(ids)} {part} products of {run}: it has changed"
        )
    if limit is not None and limit < len(products):
        products = _sampled(products, limit, seed=seed)
    return RunProducts(catalog, products.reset_index(drop=True))


def _sampled(products: pd.DataFrame, limit: int, *, seed: int) -> pd.DataFrame:
    """A random sample. Kinds of products that it misses, such as the few with a picture, are put before it."""
    chosen = products.sample(limit, random_state=seed)
    missed = [
        products[kind].head(CANDIDATES) for kind in _kinds(products) if kind.any() and not kind[chosen.index].any()
    ]
    return pd.concat([*missed, chosen]).drop_duplicates("id").head(limit)


def _kinds(products: pd.DataFrame) -> "list[pd.Series[bool]]":
    image, text = products["image"] != "", products["text"] != ""
    return [image & text, image, text]
