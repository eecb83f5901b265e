"""The models with identity encoders and small numbers, checked by hand; padding and missing modalities."""

import pytest
import torch
from torch import Tensor, nn

from training.models import HEADS, ProductClassifier, build_head
from training.models.early import EarlyFusion
from training.models.encoders import ImageEncoder
from training.models.gated import GatedFusion
from training.models.head import Head
from training.models.intermediate import IntermediateFusion
from training.models.late import LateFusion
from training.models.residual import ResidualFusion
from training.models.single_key import SingleKeyFusion

WIDTHS = {"image_width": 6, "text_width": 4, "lexical_width": 5, "classes": 3}
SIZED = {"image_width": 6, "text_width": 4, "lexical_width": 5, "sizes": (3,)}
AS_PUBLISHED = {"image_width": 6, "text_width": 4, "classes": 3}
BOTH = torch.tensor([[True, True]])


class Fixed(Head):
    """A head with constant logits."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.register_buffer("logits", torch.tensor([logits]))

    def forward(
        self, image: Tensor, text: Tensor, attention_mask: Tensor, present: Tensor, lexical: Tensor | None = None
    ) -> Tensor:
        logits: Tensor = self.get_buffer("logits")
        return logits.expand(len(present), -1)


def features(batch: int = 2, tokens: int = 5, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(batch, 49, 6, generator=generator),
        torch.randn(batch, tokens, 4, generator=generator),
        torch.ones(batch, tokens, dtype=torch.int64),
        torch.ones(batch, 2, dtype=torch.bool),
        torch.randn(batch, 5, generator=generator),
    )


@pytest.fixture
def attention() -> IntermediateFusion:
    torch.manual_seed(0)
    return IntermediateFusion(**WIDTHS, width=8, heads=2).eval()


def test_image_head_is_a_linear_layer_on_the_mean_cell() -> None:
    head = build_head("image", **SIZED).eval()
    with torch.no_grad():
        head.classifier.weight.copy_(torch.eye(3, 6))
        head.classifier.bias.zero_()
    cells = torch.zeros(1, 2, 6)
    cells[0, 0, 0], cells[0, 1, 0], cells[0, 1, 2] = 1.0, 3.0, 8.0
    assert head(cells, torch.empty(0), torch.empty(0), BOTH).tolist() == [[2.0, 0.0, 4.0]]


def test_text_head_reads_the_first_token_only() -> None:
    head = build_head("text", **SIZED).eval()
    image, text, mask, present, letters = features()
    changed = text.clone()
    changed[:, 1:] = 7.0
    torch.testing.assert_close(head(image, text, mask, present, letters), head(image, changed, mask, present, letters))


def test_early_fusion_concatenates_normalised_towers() -> None:
    head = EarlyFusion(**WIDTHS).eval()
    image, text, mask, present, letters = features()
    joined = torch.cat(
        [
            nn.functional.layer_norm(image.mean(1), (6,)),
            nn.functional.layer_norm(text[:, 0], (4,)),
            nn.functional.layer_norm(letters, (5,)),
        ],
        dim=1,
    )
    torch.testing.assert_close(head(image, text, mask, present, letters), head.classifier(joined))


def fusion(**heads: Head) -> ResidualFusion:
    return ResidualFusion(heads, EarlyFusion(**AS_PUBLISHED), sizes=(3,))


@pytest.fixture
def added() -> ResidualFusion:
    return fusion(image=Fixed(1.0, 0.0, 2.0), text=Fixed(0.5, 3.0, 0.0))


PRESENT = torch.tensor([[True, True], [True, False], [False, True]])


def test_an_untrained_fusion_adds_the_single_models_or_returns_the_only_one(added: ResidualFusion) -> None:
    image, text, mask, *_ = features(batch=3)
    assert added(image, text, mask, PRESENT).tolist() == [[1.5, 3.0, 2.0], [1.0, 0.0, 2.0], [0.5, 3.0, 0.0]]


def test_two_readings_of_one_title_count_half_each_at_the_start() -> None:
    head = fusion(image=Fixed(1.0, 0.0, 2.0), text=Fixed(0.5, 3.0, 0.0), lexical=Fixed(1.5, 1.0, 4.0))
    image, text, mask, _, letters = features(batch=3)
    expected = torch.tensor([[2.0, 2.0, 4.0], [1.0, 0.0, 2.0], [1.0, 2.0, 2.0]])
    torch.testing.assert_close(head(image, text, mask, PRESENT, letters), expected)


def test_a_correction_counts_by_its_share_if_a_modality_is_missing(added: ResidualFusion) -> None:
    added.fusion = Fixed(8.0, 8.0, 4.0)
    added.one_modality_shares.copy_(torch.tensor([[0.0, 0.5, 0.5], [0.25, 0.0, 1.0]]))
    added.shift.copy_(torch.tensor([0.0, 0.0, 100.0]))
    image, text, mask, *_ = features(batch=3)
    assert added(image, text, mask, PRESENT).tolist() == [[9.5, 11.0, 106.0], [1.0, 4.0, 104.0], [2.5, 3.0, 104.0]]


def test_logits_are_weighed_only_where_there_are_several(added: ResidualFusion) -> None:
    with torch.no_grad():
        added.weights.network[-1].bias.copy_(torch.tensor([0.5, 2.0]).log())
    image, text, mask, *_ = features(batch=3)
    expected = torch.tensor([[1.5, 6.0, 1.0], [1.0, 0.0, 2.0], [0.5, 3.0, 0.0]])
    torch.testing.assert_close(added(image, text, mask, PRESENT), expected)


def test_training_a_fusion_leaves_the_single_models_heads_as_they_are() -> None:
    head = build_head("early", **SIZED).train()
    image, text, mask, present, letters = features()
    before = {name: value.clone() for name, value in head.state_dict().items()}
    optimizer = torch.optim.SGD([value for value in head.parameters() if value.requires_grad], lr=1.0)
    head(image, text, mask, present, letters).pow(2).sum().backward()
    optimizer.step()
    changed = {name.split(".")[0] for name, value in head.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"fusion", "weights"}
    assert not head.heads.training and head.fusion.training


NOTHING = (torch.empty(0), torch.empty(0), torch.empty(0))
# softmax(ln 3, 0) = (.75, .25); softmax(0, ln 4) = (.2, .8); softmax(0, 0) = (.5, .5)
THREE, FOUR = 1.0986123, 1.3862944


def test_late_fusion_averages_probabilities() -> None:
    head = LateFusion({"image": Fixed(THREE, 0.0), "text": Fixed(0.0, FOUR)}, sizes=[2], weights=[[0.6, 0.4]])
    torch.testing.assert_close(head(*NOTHING, BOTH).softmax(1), torch.tensor([[0.53, 0.47]]))


def test_late_fusion_divides_by_the_temperatures() -> None:
    heads = {"image": Fixed(2 * THREE, 0.0), "text": Fixed(0.0, 0.5 * FOUR)}
    head = LateFusion(heads, sizes=[2], weights=[[0.6, 0.4]], temperatures=[[2, 0.5]])
    torch.testing.assert_close(head(*NOTHING, BOTH).softmax(1), torch.tensor([[0.53, 0.47]]))


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_late_fusion_returns_the_only_model(weight: float) -> None:
    heads = {"image": Fixed(THREE, 0.0), "text": Fixed(0.0, FOUR)}
    head = LateFusion(heads, sizes=[2], weights=[[weight, 1 - weight]])
    answer = head(*NOTHING, torch.tensor([[True, False], [False, True]])).softmax(1)
    torch.testing.assert_close(answer, torch.tensor([[0.75, 0.25], [0.2, 0.8]]))


def test_late_fusion_of_three_shares_the_title_between_two() -> None:
    heads = {"image": Fixed(THREE, 0.0), "text": Fixed(0.0, FOUR), "lexical": Fixed(0.0, 0.0)}
    head = LateFusion(heads, sizes=[2], weights=[[0.5, 0.375, 0.125]])
    answer = head(*NOTHING, PRESENT).softmax(1)
    # with both .5 * .75 + .375 * .2 + .125 * .5 = .5125; the title alone .75 * .2 + .25 * .5 = .275
    torch.testing.assert_close(answer, torch.tensor([[0.5125, 0.4875], [0.75, 0.25], [0.275, 0.725]]))


def test_late_fusion_of_several_attributes_is_that_of_each() -> None:
    head = LateFusion(
        {"image": Fixed(THREE, 0.0, 2.0, 1.0, 0.0), "text": Fixed(0.0, FOUR, 0.0, 3.0, 1.0)},
        weights=[[0.6, 0.4], [0.2, 0.8]],
        temperatures=[[1.0, 1.0], [2.0, 0.5]],
        sizes=[2, 3],
    )
    second = LateFusion(
        {"image": Fixed(2.0, 1.0, 0.0), "text": Fixed(0.0, 3.0, 1.0)},
        sizes=[3],
        weights=[[0.2, 0.8]],
        temperatures=[[2.0, 0.5]],
    )
    answer = head(*NOTHING, PRESENT).exp()
    torch.testing.assert_close(answer[0, :2], torch.tensor([0.53, 0.47]))
    torch.testing.assert_close(answer[:, 2:], second(*NOTHING, PRESENT).exp())


@pytest.mark.parametrize("numbers", [{"weights": [[1.1, -0.1]]}, {"temperatures": [[0.0, 1.0]]}])
def test_late_fusion_refuses_impossible_numbers(numbers: dict[str, list[list[float]]]) -> None:
    with pytest.raises(ValueError, match="must be"):
        LateFusion({"image": Fixed(0.0), "text": Fixed(0.0)}, sizes=[1], **numbers)


@pytest.mark.parametrize("name", [name for name in HEADS if name != "lexical"])
def test_without_a_lexical_tower_a_model_is_as_published(name: str) -> None:
    head = build_head(name, image_width=6, text_width=4, sizes=(3,)).eval()
    image, text, mask, present, _ = features()
    assert head(image, text, mask, present).shape == (2, 3)
    assert not [key for key in head.state_dict() if "lexical" in key or "letters.norm" in key]


@pytest.mark.parametrize("name", ["early", "intermediate", "gated", "single_key"])
def test_a_missing_modality_is_not_read(name: str) -> None:
    torch.manual_seed(0)
    head = build_head(name, **SIZED).eval()
    image, text, mask, _, letters = features()
    other_image, other_text, _, _, other_letters = features(seed=1)
    no_image, no_text = torch.tensor([[False, True]] * 2), torch.tensor([[True, False]] * 2)
    torch.testing.assert_close(
        head(image, text, mask, no_image, letters), head(other_image, text, mask, no_image, letters)
    )
    torch.testing.assert_close(
        head(image, text, mask, no_text, letters), head(image, other_text, mask, no_text, other_letters)
    )
    assert not torch.allclose(head(image, text, mask, no_image, letters), head(image, text, mask, no_text, letters))


@pytest.mark.parametrize("name", list(HEADS))
def test_padding_changes_nothing(name: str) -> None:
    torch.manual_seed(0)
    head = build_head(name, **SIZED).eval()
    image, text, mask, present, letters = features()
    padded = torch.cat([text, torch.full((2, 3, 4), 99.0)], dim=1)
    padded_mask = torch.cat([mask, torch.zeros(2, 3, dtype=torch.int64)], dim=1)
    torch.testing.assert_close(
        head(image, text, mask, present, letters), head(image, padded, padded_mask, present, letters)
    )


@pytest.mark.parametrize("name", list(HEADS))
def test_no_title_gives_finite_logits(name: str) -> None:
    head = build_head(name, **SIZED).eval()
    image, text, mask, _, letters = features()
    assert head(image, text, torch.zeros_like(mask), torch.tensor([[True, False]] * 2), letters).isfinite().all()


def test_attention_depends_on_the_picture(attention: IntermediateFusion) -> None:
    image, text, mask, present, letters = features(batch=3)
    weights = attention.attention_weights(image, text, mask, present, letters)
    permuted = attention.attention_weights(image.roll(1, dims=0), text, mask, present, letters)
    assert (weights - permuted).abs().max() > 1e-3


def test_attention_is_a_distribution_whose_entropy_varies(attention: IntermediateFusion) -> None:
    weights = attention.attention_weights(*features(batch=3))
    torch.testing.assert_close(weights.sum(2), torch.ones(3, 49))
    entropy = -(weights * weights.log()).sum(2)
    assert entropy.std() > 1e-3
    assert entropy.max() <= torch.log(torch.tensor(6.0)) + 1e-5


def test_padding_gets_no_attention(attention: IntermediateFusion) -> None:
    image, text, mask, present, letters = features()
    mask[:, 3:] = 0
    assert attention.attention_weights(image, text, mask, present, letters)[:, :, 4:].abs().max() == 0


def test_without_a_title_all_attention_goes_to_the_null_key(attention: IntermediateFusion) -> None:
    image, text, mask, *_ = features()
    weights = attention.attention_weights(image, text, mask, torch.tensor([[True, False]] * 2))
    torch.testing.assert_close(weights[:, :, 0], torch.ones(2, 49))


def test_attention_over_a_single_key_is_linear(attention: IntermediateFusion) -> None:
    """With only the null key, the attended value is its projection and does not depend on the picture."""
    image, text, mask, *_ = features()
    no_text = torch.tensor([[True, False]] * 2)
    cells, tokens = attention._project(image, text, no_text)
    attended, _ = attention._attend(cells, tokens, mask, no_text, weights=False)
    _, _, value = attention.attention.in_proj_weight.chunk(3)
    _, _, bias = attention.attention.in_proj_bias.chunk(3)
    linear = attention.attention.out_proj(attention.null_key @ value.T + bias)
    torch.testing.assert_close(attended, linear.expand(2, 49, -1))


def test_with_a_single_key_the_attended_value_does_not_depend_on_the_picture() -> None:
    torch.manual_seed(0)
    control = SingleKeyFusion(**WIDTHS, width=8, heads=2).eval()
    image, text, mask, present, letters = features(seed=1)
    cells, tokens = control._project(image, text, present)
    others, _ = control._project(image.flip(0), text, present)
    key = tokens[:, :1]
    attended, weights = control.attention(cells, key, key)
    torch.testing.assert_close(control.attention(others, key, key)[0], attended)
    assert (weights == 1).all()
    last = text.clone()
    last[:, 1:] = 7.0
    torch.testing.assert_close(
        control(image, last, mask, present, letters), control(image, text, mask, present, letters)
    )


def test_a_gate_weighs_picture_against_title() -> None:
    head = GatedFusion(**WIDTHS).eval()
    image, text, mask, present, letters = features()
    with torch.no_grad():
        head.gate.weight.zero_()
        for bias, unread in ((50.0, "text"), (-50.0, "image")):
            head.gate.bias.fill_(bias)
            other = (image, text + 9 * torch.rand_like(text)) if unread == "text" else (image.flip(1, 2), text)
            torch.testing.assert_close(head(*other, mask, present, letters), head(image, text, mask, present, letters))


def test_width_must_divide_into_heads() -> None:
    with pytest.raises(ValueError, match=r"multiple of heads \(4\), got 10"):
        IntermediateFusion(**WIDTHS, width=10)


def test_an_unknown_model_lists_the_known() -> None:
    with pytest.raises(ValueError, match="'intermediate'"):
        build_head("middle", **SIZED)


def test_the_picture_is_normalised_inside_the_graph() -> None:
    encoder = ImageEncoder(nn.Identity(), 3, mean=(0.5, 0.0, 1.0), std=(0.5, 1.0, 2.0))
    image = torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)
    assert encoder(image).tolist() == [[[1.0, 1.0, 0.0]]]


def test_cells_are_read_row_by_row() -> None:
    encoder = ImageEncoder(nn.Identity(), 3, mean=(0.0,) * 3, std=(1 / 255,) * 3)
    image = torch.arange(4, dtype=torch.uint8).reshape(1, 1, 2, 2).expand(1, 3, 2, 2)
    torch.testing.assert_close(encoder(image)[0, :, 0], torch.tensor([0.0, 1.0, 2.0, 3.0]))


def test_a_classifier_without_an_encoder_ignores_that_modality() -> None:
    classifier = ProductClassifier(
        ImageEncoder(nn.Identity(), 3), None, build_head("image", **{**SIZED, "image_width": 3})
    )
    image = torch.randint(0, 256, (1, 3, 4, 4), dtype=torch.uint8)
    ids = torch.ones(1, 2, dtype=torch.int64)
    logits = classifier.eval()(image, ids, ids, BOTH, ids)
    assert logits.shape == (1, 3)
    torch.testing.assert_close(logits, classifier(image, 5 * ids, 0 * ids, BOTH, 3 * ids))
