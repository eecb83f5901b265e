"""What a sample is read from, and how two versions are compared on it."""

from pathlib import Path

import pytest
from fake_torchserve import FakeTorchServe

from client.api.errors import ClientError, ServerError
from client.api.inference import Product, ProductClient
from client.api.management import Management
from client.rollout.comparison import Latency, VersionComparison, compare_versions
from client.rollout.sample import read_sample

PRODUCTS = [Product(text=f"{colour} {label}") for colour in ("Red", "Blue") for label in ("Shirts", "Shoes", "Bags")]


@pytest.fixture
def two_versions(serving: FakeTorchServe, management: Management) -> FakeTorchServe:
    management.register("intermediate-2.0.mar")
    serving.requests.clear()
    return serving


def test_equal_versions_agree(client: ProductClient, two_versions: FakeTorchServe) -> None:
    trial = compare_versions(client, PRODUCTS, model="intermediate", old="1.0", new="2.0")
    assert (trial.count, trial.agreement, trial.differing) == (6, 1.0, ())
    assert 0 < trial.old.p50 <= trial.old.p95 and 0 < trial.new.p50 <= trial.new.p95


def test_which_version_is_asked_first_alternates(client: ProductClient, two_versions: FakeTorchServe) -> None:
    compare_versions(client, PRODUCTS[:3], model="intermediate", old="1.0", new="2.0")
    asked = [path.rsplit("/", 1)[1] for path in two_versions.calls("POST")]
    assert asked == ["2.0", "1.0", "1.0", "2.0", "2.0", "1.0"]


def test_what_differs_is_named(client: ProductClient, two_versions: FakeTorchServe) -> None:
    two_versions.broken["2.0"] = "bags"
    trial = compare_versions(client, [*PRODUCTS, Product(text="Shoes 10")], model="intermediate", old="1.0", new="2.0")
    assert trial.agreement == pytest.approx(6 / 7)
    assert trial.differing == ("\"Shoes 10\": 'Shoes', now 'Bags'",)


def test_to_refuse_the_same_product_is_to_agree(client: ProductClient, two_versions: FakeTorchServe) -> None:
    def refuse(product: dict[str, object]) -> dict[str, object]:
        return {"code": 422, "type": "image_corrupt", "message": "image: cannot be decoded"}

    served = two_versions.models["intermediate"]
    served["1.0"].answer = served["2.0"].answer = refuse
    assert compare_versions(client, PRODUCTS[:1], model="intermediate", old="1.0", new="2.0").agreement == 1
    served["1.0"].answer = None
    trial = compare_versions(client, PRODUCTS[:1], model="intermediate", old="1.0", new="2.0")
    assert trial.differing == ("\"Red Shirts\": 'Shirts', now 'image_corrupt'",)


def test_a_version_that_fails_is_no_answer(client: ProductClient, two_versions: FakeTorchServe) -> None:
    error = {"code": 500, "type": "model_output_invalid", "message": "NaN"}
    two_versions.models["intermediate"]["2.0"].answer = lambda product: error
    with pytest.raises(ServerError, match="model_output_invalid"):
        compare_versions(client, PRODUCTS[:1], model="intermediate", old="1.0", new="2.0")


def test_a_table_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"picture")
    table = tmp_path / "sample.csv"
    table.write_text(
        "\ufeffimage,text,label\na.jpg,Red Shirt,Shirts\n,Blue Shoe,Shoes\na.jpg,,Bags\n,,\n", encoding="utf-8"
    )
    picture = tmp_path / "a.jpg"
    assert read_sample(table) == [Product(picture, "Red Shirt"), Product(None, "Blue Shoe"), Product(picture, None)]


def test_a_folder_is_its_pictures(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    assert read_sample(tmp_path) == [Product(tmp_path / "a.jpg"), Product(tmp_path / "b.PNG")]


@pytest.mark.parametrize(("count", "limit", "expected"), [(10, 5, [0, 2, 4, 6, 8]), (10, 3, [0, 3, 6]), (2, 5, [0, 1])])
def test_of_a_large_sample_some_are_taken(tmp_path: Path, count: int, limit: int, expected: list[int]) -> None:
    table = tmp_path / "sample.csv"
    table.write_text("text\n" + "\n".join(map(str, range(count))))
    assert [product.text for product in read_sample(table, limit=limit)] == list(map(str, expected))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"title\nShirt\n", "needs a column image, text or both; it has: title"),
        (b"image\nmissing.jpg\n", "line 2: the picture missing.jpg does not exist"),
        (b"text\n", "contains no products"),
        (b"\xff\xfe", "cannot be read as a CSV"),
        (None, "cannot be read as a CSV or a folder"),
    ],
)
def test_what_is_wrong_with_a_sample_is_said(tmp_path: Path, content: bytes | None, message: str) -> None:
    table = tmp_path / "sample.csv"
    if content is not None:
        table.write_bytes(content)
    with pytest.raises(ClientError, match=message):
        read_sample(table)


def test_only_some_examples_are_shown() -> None:
    trial = VersionComparison(10, Latency(1, 2), Latency(1, 2), tuple("abcde"))
    assert trial.examples() == "a; b; c; and 2 more" and trial.agreement == 0.5
