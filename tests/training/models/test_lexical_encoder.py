"""The lexical encoder: a weighted mean that padding and unimportant ids do not move; int8 weights that answer alike."""

import pytest
import torch

from export.graphs.inference_form import RoundedLexicalEncoder
from handlers.product_serving.titles.ngrams import PADDING
from training.models.lexical_encoder import LEVELS, LexicalEncoder


@pytest.fixture
def encoder() -> LexicalEncoder:
    torch.manual_seed(0)
    encoder = LexicalEncoder(4, buckets=50).eval()
    torch.nn.init.normal_(encoder.importance.weight)
    return encoder


def test_equal_importance_gives_the_mean(encoder: LexicalEncoder) -> None:
    torch.nn.init.zeros_(encoder.importance.weight)
    torch.testing.assert_close(encoder(torch.tensor([[3, 7]])), encoder.embedding.weight[[3, 7]].mean(0)[None])


def test_an_important_id_counts_more(encoder: LexicalEncoder) -> None:
    torch.nn.init.zeros_(encoder.importance.weight)
    encoder.importance.weight.data[3] = torch.log(torch.tensor(3.0))
    expected = 0.75 * encoder.embedding.weight[3] + 0.25 * encoder.embedding.weight[7]
    torch.testing.assert_close(encoder(torch.tensor([[3, 7]]))[0], expected)


def test_padding_changes_nothing_and_no_ids_give_zeros(encoder: LexicalEncoder) -> None:
    ids = torch.tensor([[3, 7, PADDING, PADDING], [PADDING] * 4])
    torch.testing.assert_close(encoder(ids)[0], encoder(torch.tensor([[3, 7]]))[0])
    assert encoder(ids)[1].tolist() == [0.0] * 4


def test_training_computes_the_same(encoder: LexicalEncoder) -> None:
    ids = torch.tensor([[3, 7, 9], [4, PADDING, PADDING], [PADDING] * 3])
    torch.testing.assert_close(encoder.train()(ids), encoder.eval()(ids))


def test_rounded_weights_fit_int8_and_answer_alike(encoder: LexicalEncoder) -> None:
    before = encoder.embedding.weight.clone()
    encoder.round_weights()
    step = before.abs().amax(1, keepdim=True) / LEVELS
    assert (encoder.embedding.weight - before).abs().max() > 0 and (
        (encoder.embedding.weight - before).abs() <= step
    ).all()
    rounded, ids = RoundedLexicalEncoder(encoder), torch.randint(0, 50, (6, 20))
    assert rounded.embedding.dtype == torch.int8
    torch.testing.assert_close(rounded(ids), encoder(ids), atol=1e-6, rtol=1e-5)
    again = encoder.embedding.weight.clone()
    encoder.round_weights()
    torch.testing.assert_close(encoder.embedding.weight, again, atol=1e-7, rtol=0)
