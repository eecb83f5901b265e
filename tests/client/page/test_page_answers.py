"""What the page asks, draws and says, without a browser: against a fake server."""

import base64
import dataclasses
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from fake_torchserve import FakeTorchServe, write_archive
from known_model import BLUE, RED, picture
from PIL import Image

from client.api.errors import ClientError, ServerDown, ServerError
from client.api.inference import Product as Example
from client.api.management import Management
from client.api.predictions import Explanation, Prediction
from client.page.errors import problem_html, result_or_problem, sentence
from client.page.examples import golden_examples
from client.page.product.explained_answers import ExplainedAnswer, ModelChoice, PageServer
from client.page.product.pictures import SIDE, heat_map, overlay
from client.page.rendering import answers_html, choices_html, examples_html, percent
from client.rollout.sample import read_sample as sample_examples

PICTURE = picture(RED)
REASONS = {
    "text": [{"token": "<b>Red</b>", "weight": -0.5}, {"token": "Shoes", "weight": 2.0}],
    "image": {"grid": [[0.1] * 7] * 7},
    "modality": {"image": 0.25, "text": 0.75},
}


def test_versions_are_listed_with_the_default_first(
    page_server: PageServer, serving: FakeTorchServe, management: Management
) -> None:
    write_archive(serving.store, "early", "1.0")
    for archive in ("intermediate-2.0.mar", "early-1.0.mar"):
        management.register(archive)
    management.set_default("intermediate", "2.0")
    assert [str(each) for each in page_server.choices()] == ["intermediate 2.0", "intermediate 1.0", "early 1.0"]
    serving.models["early"]["1.0"].workers = ["UNLOADING"]
    assert [str(each) for each in page_server.choices()] == ["intermediate 2.0", "intermediate 1.0"]


def test_a_server_without_a_ready_worker_is_a_sentence(page_server: PageServer, serving: FakeTorchServe) -> None:
    serving.models["intermediate"]["1.0"].workers = ["UNLOADING"]
    with pytest.raises(ClientError, match="no worker of intermediate is READY"):
        page_server.choices()


def test_a_product_is_asked_as_a_whole_and_by_modality(page_server: PageServer, serving: FakeTorchServe) -> None:
    serving.reasons = REASONS
    [look] = page_server.explain([ModelChoice("intermediate", "1.0")], PICTURE, "Red Shoes")
    assert look.prediction.label == "Shoes"
    assert {name: each.modalities for name, each in look.alone.items()} == {"image": ("image",), "text": ("text",)}
    html = answers_html([look], PICTURE)
    assert "Picture alone" in html and "Title alone" in html and "Together" in html
    assert "&lt;b&gt;Red&lt;/b&gt;" in html and "<b>Red" not in html
    assert "Picture 25%" in html and "Title 75%" in html and 'class="heat"' in html
    assert "No review needed" in html and "The threshold is 0%" in html


def test_a_product_with_one_modality_has_nothing_to_compare(page_server: PageServer, serving: FakeTorchServe) -> None:
    [look] = page_server.explain([ModelChoice("intermediate", "1.0")], None, "Shoes")
    html = answers_html([look], None)
    assert not look.alone and "Picture and title alone" not in html and 'class="overlay"' not in html
    assert serving.calls("POST") == ["/explanations/intermediate/1.0"]


def look_of(label: str, *, review: bool = False, prediction: type[Prediction] = Prediction) -> ExplainedAnswer:
    document = {
        "label": label,
        "score": 0.7,
        "top": [{"label": label, "score": 0.7}],
        "modalities": ["text"],
        "needs_review": review,
        "model": {"name": "late", "version": "1.0", "backend": "fake"},
    }
    reasons = {"text": [], "image": None, "modality": {"image": 0.0, "text": 1.0}}
    explanation = Explanation.from_json({**document, **reasons})
    made = dataclasses.replace(explanation, prediction=prediction.from_json(document))
    return ExplainedAnswer(ModelChoice("late", "1.0"), made, {}, 12.0)


def test_how_a_picture_is_made_square_is_read_from_the_archive(
    page_server: PageServer, serving: FakeTorchServe
) -> None:
    path = serving.store / "intermediate-1.0.mar"
    with zipfile.ZipFile(path) as content:
        files = {name: content.read(name) for name in content.namelist()}
    files["settings.json"] = json.dumps({**json.loads(files["settings.json"]), "image_fit": "squash"}).encode()
    with zipfile.ZipFile(path, "w") as content:
        for name, data in files.items():
            content.writestr(name, data)
    [look] = page_server.explain([ModelChoice("intermediate", "1.0")], None, "Shoes")
    assert look.fit == "squash"
    path.unlink()
    assert page_server.explain([ModelChoice("intermediate", "1.0")], None, "Shoes")[0].fit == "squash"


def test_two_answers_are_compared_in_words() -> None:
    assert "They differ: <strong>Bags</strong> and <strong>Hats</strong>." in answers_html(
        [look_of("Bags"), look_of("Hats", review=True)], None
    )
    same = answers_html([look_of("Bags", review=True)] * 2, None)
    assert "Both answer <strong>Bags</strong>." in same and "Needs review" in same


def test_attributes_are_shown_where_an_answer_has_them() -> None:
    class Attributed(Prediction):
        def as_dict(self) -> dict[str, object]:
            return {
                **super().as_dict(),
                "attributes": {"baseColour": {"label": "Navy", "score": 0.81, "needs_review": True}},
            }

    html = answers_html([look_of("Bags", prediction=Attributed)], None)
    assert "base colour" in html and "Navy" in html and "81.0%" in html
    assert "Attributes" not in answers_html([look_of("Bags")], None)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ServerError(422, "image_corrupt", "image: cannot be decoded"), "The picture: cannot be decoded."),
        (ServerError(413, "text_too_long", "text: too long"), "The title: too long."),
        (ServerDown("no server answers; start it with `make serve`"), "start it with <code>make serve</code>."),
        (ClientError("<b>bold</b>"), "&lt;b&gt;bold&lt;/b&gt;."),
    ],
)
def test_errors_are_sentences(error: Exception, text: str) -> None:
    assert text in sentence(error) and str(sentence(error)) in problem_html(error)


def test_a_refused_token_is_a_sentence(page_server: PageServer, serving: FakeTorchServe) -> None:
    written = serving.key_file.read_text()
    serving.write_keys("another", expires="2099-01-01T00:00:00Z")
    serving.key_file.write_text(written)
    html = result_or_problem(lambda: choices_html(page_server.choices()), problem=lambda html: html)
    assert "The server refuses the page&#39;s token" in html and "key_file.json" in html


def test_what_nobody_expected_is_a_sentence_too_and_told_to_the_terminal(caplog: pytest.LogCaptureFixture) -> None:
    html = result_or_problem(lambda: str(1 // 0), problem=lambda html: html)
    assert "The page itself failed" in html and "division" not in html
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0.0%"), (1e-5, "<0.1%"), (0.5, "50.0%"), (0.99999, ">99.9%"), (1, "100.0%")]
)
def test_only_certainty_is_shown_as_such(share: float, text: str) -> None:
    assert percent(share) == text


def test_colours_lie_where_the_weights_are() -> None:
    grid = [[0.0] * 7 for _ in range(7)]
    grid[0][0], grid[6][6] = 2.0, -1.0
    pixels = np.asarray(heat_map(grid)).astype(int)
    assert pixels.shape == (SIDE, SIDE, 4)
    assert pixels[10, 10, 3] > 2 * pixels[-10, -10, 3] > 0 and pixels[SIDE // 2, SIDE // 2, 3] == 0
    assert pixels[10, 10, 0] > pixels[10, 10, 2] and pixels[-10, -10, 0] < pixels[-10, -10, 2]
    assert np.asarray(heat_map([[0.0] * 7] * 7))[..., 3].max() == 0


@pytest.mark.parametrize(("fit", "corner"), [("pad", (255, 255, 255)), ("squash", (0, 0, 255))])
def test_the_picture_is_shown_as_it_is_read(fit: str, corner: tuple[int, int, int]) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 40), BLUE).save(buffer, "PNG")
    shown = overlay(buffer.getvalue(), None, fit=fit)
    assert shown.heat is None
    square = Image.open(io.BytesIO(base64.b64decode(shown.picture.partition(",")[2])))
    assert square.size == (SIDE, SIDE) and square.getpixel((5, SIDE // 2)) == pytest.approx(corner, abs=4)


def test_examples_are_the_golden_products_or_ones_own(page_server: PageServer, tmp_path: Path) -> None:
    assert [each.text for each in golden_examples(page_server.config, tmp_path)] == ["Red Shirts", "Blue Shoes", ""]
    (tmp_path / "own.csv").write_text("image,text\n,Red Shoe\n", encoding="utf-8")
    assert sample_examples(tmp_path / "own.csv") == [Example(None, "Red Shoe")]
    (tmp_path / "red.png").write_bytes(PICTURE)
    (tmp_path / "broken.png").write_bytes(PICTURE[:50])
    html = examples_html(
        [Example(None, "<i>Red</i>"), Example(tmp_path / "red.png", ""), Example(tmp_path / "broken.png", "")]
    )
    assert (
        "&lt;i&gt;Red" in html
        and "Picture only (1)" in html
        and "Picture only (2)" in html
        and html.count("data:image/jpeg") == 1
    )
    with pytest.raises(ClientError, match=r"none\.csv"):
        sample_examples(tmp_path / "none.csv")
