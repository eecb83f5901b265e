"""One product at a time: which one is shown, what was decided, what the last step was."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from client.page.review.corrections import Corrections
from client.page.review.queue import QueuedProduct, ReviewQueue

DECIDE, SKIP, UNDO, AGAIN = ACTIONS = ("decide", "skip", "undo", "again")
Picture = Callable[[str], str | None]


class Step(NamedTuple):
    """A step that can be undone: a decision, with the one before it, or a skipped product."""

    place: int
    decided: bool
    before: str | None


class Card(NamedTuple):
    """A product on the desk.

    Args:
        place: in the queue, from 0; a step that names another place is late, and changes nothing.
        product: the product.
        picture: its picture as a data URI; None without one.
        picture_fault: why a picture is not shown; "" if it is shown or there is none.
    """

    place: int
    product: QueuedProduct
    picture: str | None
    picture_fault: str


class DeskView(NamedTuple):
    """What the page shows of a review.

    Args:
        card: the product to decide; None if there is none left.
        decided: number of products with a decision.
        skipped: number of products that were skipped.
        total: number of products in the queue.
        said: the last step, as a sentence.
        note: what the queue leaves out.
        labels: classes to choose from.
        file: the file of corrections.
        can_undo: there is a step to undo.
    """

    card: Card | None
    decided: int
    skipped: int
    total: int
    said: str
    note: str
    labels: Sequence[str]
    file: Path
    can_undo: bool


class ReviewDesk:
    """The review of one queue; safe to use from several threads.

    Args:
        corrections: gets each decision at once.
    """

    def __init__(self, corrections: Corrections) -> None:
        self.corrections = corrections
        self._lock = threading.Lock()
        self._queue = ReviewQueue([], "")
        self._labels: Sequence[str] = ()
        self._attribute = ""
        self._picture: Callable[[str], str] | None = None
        self._skipped: set[int] = set()
        self._steps: list[Step] = []
        self._said = ""

    def open(
        self,
        queue: ReviewQueue,
        *,
        labels: Sequence[str] = (),
        attribute: str = "",
        picture: Callable[[str], str] | None = None,
    ) -> None:
        """Put a queue on the desk. Products with a decision in the file are decided already.

        Args:
            queue: in the order of the review.
            labels: classes of the model; those of the queue are added.
            attribute: name of the main attribute, if it is known.
            picture: converts the path of a picture to a data URI; raises ``ValueError`` with the reason if it cannot.
        """
        seen = {label for product in queue.products for label, _ in product.top}
        with self._lock:
            self._queue, self._attribute, self._picture = queue, attribute, picture
            self._labels = sorted({*labels, *seen}, key=str.casefold)
            self._skipped, self._steps, self._said = set(), [], ""

    def act(self, action: str, place: int, label: str = "") -> DeskView:
        """Take a step; returns what is shown next.

        Args:
            action: one of :data:`ACTIONS`.
            place: of the product that was shown.
            label: the right class, for a decision.

        Raises:
            ClientError, StorageError: the decision cannot be written; the product stays on the desk.
        """
        with self._lock:
            decided = self._decided()
            shown = self._next(decided)
            self._said = ""
            if action == UNDO and self._steps:
                self._undo(self._steps.pop())
            elif action == AGAIN:
                self._skipped.clear()
            elif shown is not None and shown == place and action in (DECIDE, SKIP):
                self._take(action, place, label, decided)
            return self._view()

    def view(self) -> DeskView:
        """What is shown now.

        Raises:
            ClientError: the file of corrections cannot be read any more.
        """
        with self._lock:
            return self._view()

    def _take(self, action: str, place: int, label: str, decided: dict[str, str]) -> None:
        product = self._queue.products[place]
        if action == SKIP:
            self._skipped.add(place)
            self._said = f"Skipped {product.id}."
        else:
            self.corrections.put(product.id, label, attribute=self._attribute)
            new = " It is a new class." if " ".join(label.split()) not in self._labels else ""
            self._said = f"Saved: {product.id} is {' '.join(label.split())}.{new}"
        self._steps.append(Step(place, action == DECIDE, decided.get(product.id)))

    def _undo(self, step: Step) -> None:
        product = self._queue.products[step.place]
        self._skipped.discard(step.place)
        if step.decided and step.before is None:
            self.corrections.remove(product.id, attribute=self._attribute)
        elif step.decided and step.before is not None:
            self.corrections.put(product.id, step.before, attribute=self._attribute)
        self._said = f"Undone: {product.id} is to be decided again."

    def _decided(self) -> dict[str, str]:
        return self.corrections.labels(attribute=self._attribute)

    def _next(self, decided: dict[str, str]) -> int | None:
        return next(
            (
                place
                for place, product in enumerate(self._queue.products)
                if place not in self._skipped and product.id.strip() not in decided
            ),
            None,
        )

    def _view(self) -> DeskView:
        decided = self._decided()
        place = self._next(decided)
        products = self._queue.products
        return DeskView(
            None if place is None else self._card(place),
            sum(product.id.strip() in decided for product in products),
            len(self._skipped),
            len(products),
            self._said,
            self._queue.note,
            self._labels,
            self.corrections.path,
            bool(self._steps),
        )

    def _card(self, place: int) -> Card:
        product = self._queue.products[place]
        if not product.image or self._picture is None:
            return Card(place, product, None, "its catalogue was not named" if product.image else "")
        try:
            return Card(place, product, self._picture(product.image), "")
        except ValueError as error:
            return Card(place, product, None, str(error))
