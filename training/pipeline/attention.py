"""The attention of picture cells to title words for a few test products, for the report."""

import numpy as np
import torch
from tokenizers import Tokenizer

from training.features.batches import Features
from training.models.head import Head
from training.run.context import Run
from training.system.storage import write_arrays

PRODUCTS = 8


@torch.no_grad()
def write_attention(run: Run, name: str, head: Head, features: Features) -> None:
    """Write ``attention.npz`` into a model's folder: ids (K,), tokens (K, 1 + T), weights (K, N, 1 + T).

    Args:
        run: the current run.
        name: name of the model.
        head: trained; without attention, no file is written.
        features: from :meth:`training.run.context.Run.held_out_features`.
    """
    if not head.attends:
        return
    places = np.searchsorted(run.data.held_out, run.data.rows("test"))
    places = places[features.present[places].all(1)][:PRODUCTS]
    if not len(places):
        return
    inputs, _ = features.batch(places)
    device = next(head.parameters()).device
    weights = head.eval().attention_weights(*(each.to(device) for each in inputs))
    rows = run.data.held_out[places]
    write_arrays(
        run.data.options.out / name / "attention.npz",
        ids=run.data.products["id"].to_numpy(dtype=str)[rows],
        tokens=_tokens(run, run.data.products["text"].iloc[rows].tolist(), width=weights.shape[2]),
        weights=weights.cpu().numpy(),
    )


def _tokens(run: Run, titles: list[str], *, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.str_]]:
    """The word (K, 1 + T) of each column of the weights; column 0 is the null key."""
    tokenizer = Tokenizer.from_file(str(run.data.options.out / "tokenizer.json"))
    tokens = np.full((len(titles), width), "", dtype="U64")
    tokens[:, 0] = "[none]"
    for number, title in enumerate(titles):
        ids = run.data.preprocessor.tokens(title)
        tokens[number, 1 : 1 + len(ids)] = [tokenizer.id_to_token(int(token)) for token in ids]
    return tokens
