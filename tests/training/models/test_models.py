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

WIDTHS = {"image_width": 6, "text_width": 4, "classes": 3}
SIZED = {"image_width": 6, "text_width": 4, "sizes": (3,)}
BOTH = torch.tensor([[True, True]])


class Fixed(Head):
    """A head with constant logits."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.register_buffer("logits", torch.tensor([logits]))

    def forward(self, image: Tensor, text: Tensor, attention_mask: Tensor, present: Tensor) -> Tensor:
        logits: Tensor = self.get_buffer("logits")
        return logits.expand(len(present), -1)


def features(batch: int = 2, tokens: int = 5, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(batch, 49, 6, generator=generator),
        torch.randn(batch, tokens, 4, generator=generator),
        torch.ones(batch, tokens, dtype=torch.int64),
        torch.ones(batch, 2, dtype=torch.bool),
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
    image, text, mask, present = features()
    changed = text.clone()
    changed[:, 1:] = 7.0
    torch.testing.assert_close(head(image, text, mask, present), head(image, changed, mask, present))


def test_early_fusion_concatenates_normalised_towers() -> None:
    head = EarlyFusion(**WIDTHS).eval()
    image, text, mask, present = features()
    joined = torch.cat(
        [nn.functional.layer_norm(image.mean(1), (6,)), nn.functional.layer_norm(text[:, 0], (4,))], dim=1
    )
    torch.testing.assert_close(head(image, text, mask, present), head.classifier(joined))


def test_an_untrained_fusion_adds_the_single_models_or_returns_the_only_one() -> None:
    head = ResidualFusion(Fixed(1.0, 0.0, 2.0), Fixed(0.5, 3.0, 0.0), EarlyFusion(**WIDTHS), sizes=(3,))
    image, text, mask, _ = features(batch=3)
    present = torch.tensor([[True, True], [True, False], [False, True]])
    assert head(image, text, mask, present).tolist() == [[1.5, 3.0, 2.0], [1.0, 0.0, 2.0], [0.5, 3.0, 0.0]]


def test_a_correction_counts_by_its_share_if_a_modality_is_missing() -> None:
    head = ResidualFusion(Fixed(1.0, 0.0, 2.0), Fixed(0.5, 3.0, 0.0), EarlyFusion(**WIDTHS), sizes=(3,))
    head.fusion = Fixed(8.0, 8.0, 4.0)
    head.one_modality_shares.copy_(torch.tensor([[0.0, 0.5, 0.5], [0.25, 0.0, 1.0]]))
    head.shift.copy_(torch.tensor([0.0, 0.0, 100.0]))
    image, text, mask, _ = features(batch=3)
    present = torch.tensor([[True, True], [True, False], [False, True]])
    assert head(image, text, mask, present).tolist() == [[9.5, 11.0, 106.0], [1.0, 4.0, 104.0], [2.5, 3.0, 104.0]]


def test_logits_are_weighed_only_if_both_modalities_are_there() -> None:
    head = ResidualFusion(Fixed(1.0, 0.0, 2.0), Fixed(0.5, 3.0, 0.0), EarlyFusion(**WIDTHS), sizes=(3,))
    with torch.no_grad():
        head.weights.network[-1].bias.copy_(torch.tensor([0.5, 2.0]).log())
    image, text, mask, _ = features(batch=3)
    present = torch.tensor([[True, True], [True, False], [False, True]])
    expected = torch.tensor([[1.5, 6.0, 1.0], [1.0, 0.0, 2.0], [0.5, 3.0, 0.0]])
    torch.testing.assert_close(head(image, text, mask, present), expected)


def test_training_a_fusion_leaves_the_single_models_heads_as_they_are() -> None:
    head = build_head("early", **SIZED).train()
    image, text, mask, present = features()
    before = {name: value.clone() for name, value in head.state_dict().items()}
    optimizer = torch.optim.SGD([value for value in head.parameters() if value.requires_grad], lr=1.0)
    head(image, text, mask, present).pow(2).sum().backward()
    optimizer.step()
    changed = {name.split(".")[0] for name, value in head.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"fusion", "weights"}
    assert not head.image_head.training and head.fusion.training


def test_late_fusion_averages_probabilities() -> None:
    # softmax(ln 3, 0) = (.75, .25); softmax(0, ln 4) = (.2, .8); .6 and .4 of them = (.53, .47)
    head = LateFusion(Fixed(1.0986123, 0.0), Fixed(0.0, 1.3862944), sizes=[2], image_weights=[0.6])
    answer = head(torch.empty(0), torch.empty(0), torch.empty(0), BOTH).softmax(1)
    torch.testing.assert_close(answer, torch.tensor([[0.53, 0.47]]))


def test_late_fusion_divides_by_the_temperatures() -> None:
    head = LateFusion(
        Fixed(2 * 1.0986123, 0.0),
        Fixed(0.0, 0.5 * 1.3862944),
        sizes=[2],
        image_weights=[0.6],
        image_temperatures=[2],
        text_temperatures=[0.5],
    )
    answer = head(torch.empty(0), torch.empty(0), torch.empty(0), BOTH).softmax(1)
    torch.testing.assert_close(answer, torch.tensor([[0.53, 0.47]]))


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_late_fusion_returns_the_only_model(weight: float) -> None:
    head = LateFusion(Fixed(1.0986123, 0.0), Fixed(0.0, 1.3862944), sizes=[2], image_weights=[weight])
    present = torch.tensor([[True, False], [False, True]])
    answer = head(torch.empty(0), torch.empty(0), torch.empty(0), present).softmax(1)
    torch.testing.assert_close(answer, torch.tensor([[0.75, 0.25], [0.2, 0.8]]))


def test_late_fusion_of_several_attributes_is_that_of_each() -> None:
    head = LateFusion(
        Fixed(1.0986123, 0.0, 2.0, 1.0, 0.0),
        Fixed(0.0, 1.3862944, 0.0, 3.0, 1.0),
        image_weights=[0.6, 0.2],
        image_temperatures=[1.0, 2.0],
        text_temperatures=[1.0, 0.5],
        sizes=[2, 3],
    )
    second = LateFusion(
        Fixed(2.0, 1.0, 0.0),
        Fixed(0.0, 3.0, 1.0),
        sizes=[3],
        image_weights=[0.2],
        image_temperatures=[2.0],
        text_temperatures=[0.5],
    )
    present = torch.tensor([[True, True], [True, False], [False, True]])
    inputs = (torch.empty(0), torch.empty(0), torch.empty(0))
    answer = head(*inputs, present).exp()
    torch.testing.assert_close(answer[0, :2], torch.tensor([0.53, 0.47]))
    torch.testing.assert_close(answer[:, 2:], second(*inputs, present).exp())


@pytest.mark.parametrize("numbers", [{"image_weights": [1.1]}, {"image_temperatures": [0.0]}])
def test_late_fusion_refuses_impossible_numbers(numbers: dict[str, list[float]]) -> None:
    with pytest.raises(ValueError, match="must be"):
        LateFusion(Fixed(0.0), Fixed(0.0), sizes=[1], **numbers)


@pytest.mark.parametrize("name", ["early", "intermediate", "gated", "single_key"])
def test_a_missing_modality_is_not_read(name: str) -> None:
    torch.manual_seed(0)
    head = build_head(name, **SIZED).eval()
    image, text, mask, _ = features()
    other_image, other_text, _, _ = features(seed=1)
    no_image, no_text = torch.tensor([[False, True]] * 2), torch.tensor([[True, False]] * 2)
    torch.testing.assert_close(head(image, text, mask, no_image), head(other_image, text, mask, no_image))
    torch.testing.assert_close(head(image, text, mask, no_text), head(image, other_text, mask, no_text))
    assert not torch.allclose(head(image, text, mask, no_image), head(image, text, mask, no_text))


@pytest.mark.parametrize("name", list(HEADS))
def test_padding_changes_nothing(name: str) -> None:
    torch.manual_seed(0)
    head = build_head(name, **SIZED).eval()
    image, text, mask, present = features()
    padded = torch.cat([text, torch.full((2, 3, 4), 99.0)], dim=1)
    padded_mask = torch.cat([mask, torch.zeros(2, 3, dtype=torch.int64)], dim=1)
    torch.testing.assert_close(head(image, text, mask, present), head(image, padded, padded_mask, present))


@pytest.mark.parametrize("name", list(HEADS))
def test_no_title_gives_finite_logits(name: str) -> None:
    head = build_head(name, **SIZED).eval()
    image, text, mask, _ = features()
    assert head(image, text, torch.zeros_like(mask), torch.tensor([[True, False]] * 2)).isfinite().all()


def test_attention_depends_on_the_picture(attention: IntermediateFusion) -> None:
    image, text, mask, present = features(batch=3)
    weights = attention.attention_weights(image, text, mask, present)
    permuted = attention.attention_weights(image.roll(1, dims=0), text, mask, present)
    assert (weights - permuted).abs().max() > 1e-3


def test_attention_is_a_distribution_whose_entropy_varies(attention: IntermediateFusion) -> None:
    weights = attention.attention_weights(*features(batch=3))
    torch.testing.assert_close(weights.sum(2), torch.ones(3, 49))
    entropy = -(weights * weights.log()).sum(2)
    assert entropy.std() > 1e-3
    assert entropy.max() <= torch.log(torch.tensor(6.0)) + 1e-5


def test_padding_gets_no_attention(attention: IntermediateFusion) -> None:
    image, text, mask, present = features()
    mask[:, 3:] = 0
    assert attention.attention_weights(image, text, mask, present)[:, :, 4:].abs().max() == 0


def test_without_a_title_all_attention_goes_to_the_null_key(attention: IntermediateFusion) -> None:
    image, text, mask, _ = features()
    weights = attention.attention_weights(image, text, mask, torch.tensor([[True, False]] * 2))
    torch.testing.assert_close(weights[:, :, 0], torch.ones(2, 49))


def test_attention_over_a_single_key_is_linear(attention: IntermediateFusion) -> None:
    """With only the null key, the attended value is its projection and does not depend on the picture."""
    image, text, mask, _ = features()
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
    image, text, mask, present = features(seed=1)
    cells, tokens = control._project(image, text, present)
    others, _ = control._project(image.flip(0), text, present)
    key = tokens[:, :1]
    attended, weights = control.attention(cells, key, key)
    torch.testing.assert_close(control.attention(others, key, key)[0], attended)
    assert (weights == 1).all()
    last = text.clone()
    last[:, 1:] = 7.0
    torch.testing.assert_close(control(image, last, mask, present), control(image, text, mask, present))


def test_a_gate_weighs_picture_against_title() -> None:
    head = GatedFusion(**WIDTHS).eval()
    image, text, mask, present = features()
    with torch.no_grad():
        head.gate.weight.zero_()
        for bias, unread in ((50.0, "text"), (-50.0, "image")):
            head.gate.bias.fill_(bias)
            other = (image, text + 9 * torch.rand_like(text)) if unread == "text" else (image.flip(1, 2), text)
            torch.testing.assert_close(head(*other, mask, present), head(image, text, mask, present))


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
    logits = classifier.eval()(image, ids, ids, BOTH)
    assert logits.shape == (1, 3)
    torch.testing.assert_close(logits, classifier(image, 5 * ids, 0 * ids, BOTH))
