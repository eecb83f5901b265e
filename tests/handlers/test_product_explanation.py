"""Explanations find known weights exactly, on every engine, and equal Captum's."""

import dataclasses
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import known_model as known
import numpy as np
import pytest
import torch
from captum.attr import FeatureAblation, ShapleyValues
from numpy.typing import NDArray
from pictures import draw, encode
from serving import LABELS, TITLES, Worker, b64, document, explained, form, same
from tiny_model import LETTERS, TinyCells, TinyHead, TinyTokens
from torch import Tensor

from handlers.product_serving.engines.engine import Engine, Parts
from handlers.product_serving.engines.onnx import OnnxEngine
from handlers.product_serving.engines.torchscript import TorchScriptEngine
from handlers.product_serving.explanation import MAX_RUNS, MAX_RUNS_OF_TITLES, ProductExplainer
from handlers.product_serving.preprocessing import ProductPreprocessor, collate
from handlers.product_serving.settings import OneModality, ProductSettings

PICTURE = encode(draw())
TITLE = "Plain red Shoes, running"
T = known.TEMPERATURE


@pytest.fixture(scope="module")
def known_folder(known_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("known")
    with zipfile.ZipFile(known_archive) as content:
        content.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def known_worker(known_folder: Path) -> Worker:
    return Worker(known_folder, model_name="known")


def explain(worker: Worker, **fields: Any) -> Any:
    [answer] = worker.ask(explained(form(**fields)))
    assert answer.status == 200, answer.body
    return answer.json


def test_the_word_that_decides_is_found_and_whole(known_worker: Worker) -> None:
    answer = explain(known_worker, text=TITLE)
    assert answer["label"] == "Shoes"
    expected = {"Plain": -0.75 / T, "red": 0, "Shoes,": 2.5 / T, "running": 0.5 / T}
    assert [entry["token"] for entry in answer["text"]] == list(expected)
    assert [entry["weight"] for entry in answer["text"]] == pytest.approx(list(expected.values()), abs=1e-3)
    assert answer["image"] is None and answer["modality"] == {"image": 0, "text": 1}


@pytest.mark.parametrize("quarter", range(4))
@pytest.mark.parametrize(("colour", "label"), [(known.RED, known.SHOE), (known.BLUE, known.BAG)])
def test_the_quarter_that_holds_the_product_is_found(
    known_worker: Worker, quarter: int, colour: tuple[int, int, int], label: int
) -> None:
    answer = explain(known_worker, image=known.picture(colour, quarter))
    assert (
        answer["label"] == known.LABELS[label]
        and answer["text"] == []
        and answer["modality"] == {"image": 1, "text": 0}
    )
    expected = known.PICTURE_VOTES / 49 / T * known.quarter_votes(quarter)
    np.testing.assert_allclose(answer["image"]["grid"], expected, atol=1e-3)


def test_a_word_against_the_answer_has_a_negative_weight(known_worker: Worker) -> None:
    answer = explain(known_worker, image=known.picture(known.RED, 0), text="bag bag bags")
    assert answer["label"] == known.LABELS[known.BAG]
    assert np.sum(answer["image"]["grid"]) == pytest.approx(-3 / T, abs=1e-2)
    assert all(entry["weight"] > 0 for entry in answer["text"]) and answer["modality"] == {"image": 0, "text": 1}


def test_shares_follow_the_votes(known_worker: Worker) -> None:
    answer = explain(known_worker, image=known.picture(known.RED, 1), text="red shoe")
    assert answer["modality"] == pytest.approx({"image": 3 / 5, "text": 2 / 5}, abs=1e-3)


def test_a_weight_is_the_loss_without_the_word(worker: Worker) -> None:
    for fields in ({"text": TITLES[0]}, {"text": TITLES[0], "image": PICTURE}, {"text": "Red", "image": PICTURE}):
        answer = explain(worker, **fields)
        words = fields["text"].split()
        assert [entry["token"] for entry in answer["text"]] == words
        for number, entry in enumerate(answer["text"]):
            shorter = {**fields, "text": " ".join(words[:number] + words[number + 1 :])}
            [without] = worker.ask(form(**shorter))
            lost = log_odds(answer, answer["label"]) - log_odds(without.json, answer["label"])
            assert entry["weight"] == pytest.approx(lost, abs=1e-3)


def test_one_modality_is_explained_with_its_own_temperature(archive: Path) -> None:
    worker = Worker(archive)
    worker.handler.settings = dataclasses.replace(
        worker.handler.settings,
        one_modality=tuple(
            OneModality(modality=modality, temperatures=(value,), review_thresholds=(0.5,))
            for modality, value in (("image", 2.0), ("text", 0.5))
        ),
    )
    answer = explain(worker, text="Red", image=PICTURE)
    image, text = worker.ask(form(image=PICTURE), form(text="Red"))
    whole, *alone = (log_odds(each, answer["label"]) for each in (answer, image.json, text.json))
    assert answer["text"][0]["weight"] == pytest.approx(whole - alone[0], abs=1e-3)
    nothing = -np.log(len(LABELS) - 1)
    values = np.maximum([alone[0] + whole - alone[1] - nothing, alone[1] + whole - alone[0] - nothing], 0)
    assert answer["modality"]["image"] == pytest.approx(values[0] / values.sum(), abs=1e-3)


def log_odds(answer: Any, label: str) -> float:
    [score] = [entry["score"] for entry in answer["top"] if entry["label"] == label]
    return float(np.log(score / (1 - score)))


def test_a_single_word_is_compared_with_no_input(worker: Worker) -> None:
    answer = explain(worker, text="Red")
    nothing = -np.log(len(LABELS) - 1)
    assert answer["text"][0]["weight"] == pytest.approx(log_odds(answer, answer["label"]) - nothing, abs=1e-3)


def test_the_answer_is_the_prediction_with_an_explanation(worker: Worker) -> None:
    request = form(image=PICTURE, text=TITLES[0], top_k="2")
    prediction, explanation = worker.ask(request, explained(request))
    assert same(prediction, explanation._replace(body=prediction.body))
    assert set(explanation.json) == {*prediction.json, "text", "image", "modality"}
    assert {name: explanation.json[name] for name in prediction.json} == prediction.json
    assert explanation.body.isascii() and np.shape(explanation.json["image"]["grid"]) == (2, 2)


def test_explanations_do_not_depend_on_the_batch_and_fail_alone(worker: Worker) -> None:
    good, bad = explained(form(image=PICTURE, text=TITLES[0])), explained(form(image=PICTURE[:99]))
    plain, spoofed = form(text=TITLES[1]), ({"Explain": "True", **form(text=TITLES[1])[0]}, form(text=TITLES[1])[1])
    [alone] = worker.ask(good)
    first, broken, second, third, fourth = worker.ask(good, bad, plain, good, spoofed)
    assert (broken.status, broken.json["type"]) == (422, "image_corrupt")
    assert "modality" not in second.json and "modality" not in fourth.json and second.status == fourth.status == 200
    for answer in (first, third):
        assert answer.json["modality"] == pytest.approx(alone.json["modality"], abs=1e-3)
        np.testing.assert_allclose(answer.json["image"]["grid"], alone.json["image"]["grid"], atol=1e-3)


def test_instances_are_explained_up_to_their_own_limit(worker: Worker) -> None:
    products = [{"text": TITLES[0]}, {"image": "!"}, {"image": b64(PICTURE)}, {"text": TITLES[1]}]
    many, too_many = worker.ask(
        explained(document({"instances": products})), explained(document({"instances": [*products, {"text": "a"}]}))
    )
    kinds = [answer.get("type", "modality" in answer) for answer in many.json["predictions"]]
    assert many.status == 200 and kinds == [True, "invalid_base64", True, True]
    assert (too_many.status, too_many.json["type"]) == (413, "too_many_instances")
    assert "at most 4" in too_many.json["message"]


def test_long_words_are_cut_and_unread_words_left_out(worker: Worker) -> None:
    answer = explain(worker, text="Red " + "\u00e9" * 5000 + " Shoes" * 300)
    assert len(answer["text"]) <= 14 and max(len(entry["token"]) for entry in answer["text"]) == 100


NONE = np.zeros(0, np.float32)  # no agreement


class Failing:
    """Parts that break on a chosen call."""

    def __init__(self, parts: Parts, failure: Callable[[], NDArray[np.float32]]) -> None:
        self.cells, self.tokens, self.lexical, self._failure = parts.cells, parts.tokens, parts.lexical, failure

    def classify(self, *arrays: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return self._failure(), NONE


def out_of_memory() -> NDArray[np.float32]:
    raise RuntimeError("CUDA out of memory: secret")


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (lambda: np.full((1, len(LABELS)), np.nan, np.float32), (500, "model_output_invalid")),
        (out_of_memory, (507, "out_of_memory")),
    ],
)
def test_a_product_that_cannot_be_explained_fails_alone(
    archive: Path, failure: Callable[[], Any], outcome: tuple[int, str], caplog: pytest.LogCaptureFixture
) -> None:
    worker = Worker(archive)
    parts = worker.handler.engine.parts()
    worker.handler.engine.parts = lambda: Failing(parts, failure)  # type: ignore[method-assign]
    explanation, prediction = worker.ask(explained(form(text=TITLES[0])), form(text=TITLES[0]))
    assert (explanation.status, explanation.json["type"], prediction.status) == (*outcome, 200)
    assert "secret" not in caplog.text + explanation.body


def tiny_engines(graphs: Path) -> list[Engine]:
    return [
        TorchScriptEngine(graphs / "model.pt", device="cpu", threads=1),
        OnnxEngine(graphs / "model.onnx", threads=1),
    ]


def test_both_engines_explain_alike(graphs: Path, preprocessor: ProductPreprocessor, settings: ProductSettings) -> None:
    product = preprocessor(PICTURE, TITLES[0])
    one, other = (ProductExplainer(engine.parts(), preprocessor, settings) for engine in tiny_engines(graphs))
    for label in range(len(LABELS)):
        a, b = (explainer(product, TITLES[0], label) for explainer in (one, other))
        np.testing.assert_allclose(a["image"]["grid"], b["image"]["grid"], atol=1e-3)
        np.testing.assert_allclose(
            [entry["weight"] for entry in a["text"]], [entry["weight"] for entry in b["text"]], atol=1e-3
        )
        assert a["modality"] == pytest.approx(b["modality"], abs=1e-3)


def test_the_weights_equal_captums(graphs: Path, preprocessor: ProductPreprocessor, settings: ProductSettings) -> None:
    """The same weights by Captum: ablation of cells, Shapley values of two players."""
    engine = tiny_engines(graphs)[0]
    parts, label = engine.parts(), 1
    product = preprocessor(PICTURE, TITLES[0])
    batch = collate([product])
    cells, tokens = (
        torch.from_numpy(array)
        for array in (parts.cells(batch.image), parts.tokens(batch.input_ids, batch.attention_mask))
    )

    lexical = parts.lexical(batch.ngrams)

    def odds(features: Tensor, present: Tensor) -> Tensor:
        mask = batch.attention_mask.repeat(len(features), 0)
        titles, letters = tokens.repeat(len(features), 1, 1).numpy(), lexical.repeat(len(features), 0)
        logits, _ = parts.classify(features.numpy(), titles, mask, present.numpy() > 0, letters)
        scores = (torch.from_numpy(logits).double() / settings.main.temperature).softmax(1)
        scores[~(present.numpy() > 0).any(1)] = 1 / len(LABELS)
        return torch.log(scores[:, label] / (1 - scores[:, label]))

    answer = ProductExplainer(parts, preprocessor, settings)(product, TITLES[0], label)
    white = torch.from_numpy(parts.cells(preprocessor.blank()[None]))
    groups = torch.arange(4).view(1, 4, 1).expand_as(cells)
    both = torch.ones(1, 2)
    # Captum replaces parts of its first argument by the second: here the white cells.
    ablated = FeatureAblation(odds).attribute(white, cells, additional_forward_args=(both,), feature_mask=groups)
    np.testing.assert_allclose(np.ravel(answer["image"]["grid"]), -ablated[0, :, 0], atol=1e-4)
    values = ShapleyValues(lambda present: odds(cells.repeat(len(present), 1, 1), present)).attribute(both)[0]
    assert answer["modality"]["image"] == pytest.approx(
        float(values.clamp(min=0)[0] / values.clamp(min=0).sum()), abs=1e-4
    )


class Counting:
    """Parts that count their rows."""

    def __init__(self, words: int) -> None:
        self.towers, self.titles, self.heads, self._words = 0, 0, 0, words
        torch.manual_seed(0)
        self._tokens, self._head = TinyTokens(words), TinyHead()

    def cells(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.towers += len(image)
        return TinyCells()(torch.from_numpy(image)).numpy()

    def tokens(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> NDArray[np.float32]:
        self.titles += len(input_ids)
        return self._tokens(torch.from_numpy(input_ids), torch.from_numpy(attention_mask)).detach().numpy()

    def lexical(self, ngrams: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.zeros((len(ngrams), LETTERS), np.float32)

    def classify(self, *arrays: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self.heads += len(arrays[0])
        return self._head(*map(torch.from_numpy, arrays)).detach().numpy(), NONE


@pytest.mark.parametrize(("modalities", "runs"), [(("image", "text"), MAX_RUNS), (("text",), MAX_RUNS_OF_TITLES)])
@pytest.mark.parametrize("words", [1, 2, 7, 8, 12, 13, 14])
def test_runs_are_limited_for_a_long_title(
    settings: ProductSettings, tokenizer_file: Path, modalities: tuple[str, ...], runs: int, words: int
) -> None:
    settings = dataclasses.replace(settings, modalities=modalities)
    preprocessor = ProductPreprocessor(settings, tokenizer_file)
    parts = Counting(200)
    explainer = ProductExplainer(parts, preprocessor, settings)
    parts.towers = 0
    title = " ".join(["red", "shirt"] * 7).split()[:words]
    image = PICTURE if "image" in modalities else None
    answer = explainer(preprocessor(image, " ".join(title)), " ".join(title), 0)
    assert [entry["token"] for entry in answer["text"]] == title
    assert parts.towers == 1 and parts.titles <= 1 + runs


def test_the_deciding_word_of_a_long_title_is_found(known_folder: Path) -> None:
    settings = ProductSettings.from_json(known_folder / "settings.json")
    preprocessor = ProductPreprocessor(settings, known_folder / "tokenizer.json")
    parts = OnnxEngine(known_folder / "model.onnx", threads=1).parts()
    for place in range(14):
        title = " ".join(["red"] * place + ["shoe"] + ["red"] * (13 - place))
        weights = [
            entry["weight"]
            for entry in ProductExplainer(parts, preprocessor, settings)(preprocessor(None, title), title, known.SHOE)[
                "text"
            ]
        ]
        assert int(np.argmax(weights)) == place and weights[place] == pytest.approx(2 / T, abs=1e-3)


def test_a_single_class_has_zero_weights(settings: ProductSettings, preprocessor: ProductPreprocessor) -> None:
    class Only(Counting):
        def classify(self, *arrays: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            return np.ones((len(arrays[0]), 1), np.float32), NONE

    only = dataclasses.replace(settings, attributes=(dataclasses.replace(settings.main, labels=("Shoes",)),))
    answer = ProductExplainer(Only(200), preprocessor, only)(preprocessor(PICTURE, "red"), "red", 0)
    assert answer["text"] == [{"token": "red", "weight": 0, "begins": 0, "ends": 3}] and answer["modality"] == {
        "image": 0.5,
        "text": 0.5,
    }


def test_a_confident_model_has_finite_weights(settings: ProductSettings, preprocessor: ProductPreprocessor) -> None:
    class Sure(Counting):
        def classify(self, *arrays: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            return np.tile(np.array([[1e4, -1e4, 0, 0]], np.float32), (len(arrays[0]), 1)), NONE

    answer = ProductExplainer(Sure(200), preprocessor, settings)(preprocessor(PICTURE, "red shirt"), "red shirt", 0)
    assert (
        np.isfinite(answer["image"]["grid"]).all() and np.isfinite([entry["weight"] for entry in answer["text"]]).all()
    )
