"""Settings survive JSON and refuse invalid values."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from handlers.product_serving.settings import Attribute, Hierarchy, ProductSettings

SETTINGS = ProductSettings(
    model="late", attributes=(Attribute(name="label", labels=("Été", "b"), temperature=1.5),), modalities=("text",)
)


def test_settings_survive_json(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text(SETTINGS.to_json(), encoding="utf-8")
    assert ProductSettings.from_json(path) == SETTINGS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "must hold a JSON object"),
        ('{"colour": 1}', r"settings \['colour'\] of another version"),
        (
            '{"target": "label", "labels": ["a"], "attributes": []}',
            r"settings \['labels', 'target'\] of another version",
        ),
    ],
)
def test_a_file_that_holds_no_settings(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "settings.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        ProductSettings.from_json(path)


@pytest.mark.parametrize(
    "change",
    [
        {"attributes": ()},
        {"attributes": (Attribute(name="label", labels=("a",)),) * 2},
        {"modalities": ()},
        {"modalities": ("sound",)},
        {"image_fit": "crop"},
        {"engine": "tensorrt"},
        {"max_batch": 0},
        {"max_tokens": -1},
        {"max_image_ratio": 1000.0},
        {"cache_mib": -1},
        {"cache_mib": float("nan")},
    ],
)
def test_a_value_out_of_range_is_named(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        ProductSettings(**{"model": "late", "attributes": SETTINGS.attributes, **change})


@pytest.mark.parametrize(
    "change",
    [
        {"labels": ()},
        {"labels": ("a", "a")},
        {"temperature": 0.0},
        {"temperature": float("nan")},
        {"review_threshold": 1.1},
    ],
)
def test_an_attributes_value_out_of_range_is_named(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(change))} of 'gender'"):
        Attribute(**{"name": "gender", "labels": ("Men", "Women"), **change})


def test_several_attributes_come_back_in_their_order(tmp_path: Path) -> None:
    gender = Attribute(name="gender", labels=("Men", "Women"), temperature=1.25, review_threshold=0.5)
    chain = Hierarchy(attributes=("label", "gender"), combinations=((0, 1), (1, 0)), temperature=2.0)
    several = dataclasses.replace(SETTINGS, attributes=(SETTINGS.main, gender), hierarchies=(chain,))
    path = tmp_path / "settings.json"
    path.write_text(several.to_json(), encoding="utf-8")
    assert ProductSettings.from_json(path) == several
    assert several.slices == {"label": slice(0, 2), "gender": slice(2, 4)}
    assert (several.target, several.labels, several.sizes) == ("label", ("Été", "b"), (2, 2))
