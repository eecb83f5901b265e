"""Puts the review queue of a scored catalogue on the desk, with its pictures and the classes of its model."""

from collections.abc import Callable
from pathlib import Path

from client.page.product.explained_answers import ModelChoice, PageServer
from client.page.product.foreign_pictures import ServableFiles
from client.page.product.pictures import large_uri
from client.page.review.desk import ReviewDesk
from client.page.review.queue import read_queue
from client.scoring.outputs import SUMMARY
from handlers.product_serving.errors import ProductError
from training.catalog import CatalogFiles, RowError, open_files
from training.system.storage import read_json


def lay_out_queue(
    server: PageServer, desk: ReviewDesk, queue: Path, *, catalog: Path | None = None, choice: ModelChoice | None = None
) -> None:
    """Put a queue on the desk.

    Args:
        server: knows the classes of a model.
        desk: gets the queue.
        queue: ``review.csv`` of ``python -m client score``.
        catalog: the catalogue that was scored, for its pictures; None shows none.
        choice: version that answered; None takes the one that ``summary.json`` beside the queue names.

    Raises:
        ClientError: the queue cannot be read.
        CatalogError: the catalogue cannot be read.
    """
    found = read_queue(queue)
    picture = None if catalog is None else _pictures_of(ServableFiles(open_files(catalog)))
    choice = choice or _scorer(queue.parent)
    labels = server.labels(choice) if choice else []
    desk.open(found, labels=labels, attribute=server.attribute(choice) if choice else "", picture=picture)


def _scorer(folder: Path) -> ModelChoice | None:
    """The version that scored a folder; None if the folder does not say it."""
    summary = read_json(folder / SUMMARY)
    key = summary.get("key") if isinstance(summary, dict) else None
    if not isinstance(key, dict) or not {"model", "version"} <= key.keys():
        return None
    return ModelChoice(str(key["model"]), str(key["version"]))


def _pictures_of(files: CatalogFiles) -> Callable[[str], str]:
    """A function that converts the path of a picture to a data URI."""

    def picture(name: str) -> str:
        try:
            return large_uri(files.read(name))
        except RowError as error:
            raise ValueError(error.detail) from error
        except ProductError as error:
            raise ValueError(error.message.removeprefix("image: ")) from error

    return picture
