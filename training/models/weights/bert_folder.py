"""A BERT in a folder: its configuration, weights and tokenizer are read, and have to fit each other."""

import json
from pathlib import Path

from tokenizers import Tokenizer
from transformers import BertConfig, BertModel

from training.models.weights.weights_file import WeightsError, load_weights

_BERT_FILES = ("model.safetensors", "pytorch_model.bin")


def read_bert(folder: Path) -> BertModel:
    """The BERT of a folder, without its pooler, in evaluation mode.

    Args:
        folder: with ``config.json``, weights and ``tokenizer.json``.

    Raises:
        WeightsError: a file is missing or damaged, or they do not fit each other.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if config.get("model_type", "bert") != "bert":
            raise WeightsError(f"{folder} is of the architecture {config['model_type']}, and only BERT is read")
        bert = BertModel(BertConfig(**config), add_pooling_layer=False)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"{folder} has no usable config.json ({error})") from error
    files = [folder / name for name in _BERT_FILES if (folder / name).is_file()]
    if not files:
        raise WeightsError(f"{folder} has no weights ({' or '.join(_BERT_FILES)})")
    load_weights(bert, files[0], unused=["pooler.", "cls."])
    _check_tokenizer(folder, bert)
    bert.train(False)
    return bert


def _check_tokenizer(folder: Path, bert: BertModel) -> None:
    """Refuse a tokenizer that gives numbers for which there is no embedding."""
    if not (folder / "tokenizer.json").is_file():
        return  # tokenizer_json says so
    try:
        words = Tokenizer.from_str((folder / "tokenizer.json").read_text(encoding="utf-8")).get_vocab()
    except Exception as error:  # the library raises plain exceptions
        raise WeightsError(f"{folder / 'tokenizer.json'} is damaged ({error}); save it again") from error
    needed, there = max(words.values(), default=-1) + 1, bert.config.vocab_size
    if needed > there:
        raise WeightsError(
            f"the tokenizer in {folder} has {needed:,} words, and the weights have embeddings for {there:,}: take both "
            "from the same model, or enlarge the weights with model.resize_token_embeddings(len(tokenizer))"
        )
