"""A cascade over HTTP: one answer exits early, another does not, and a request can ask for everything."""

import json
import zipfile
from collections.abc import Iterator

import pytest
from live_server import SERVER_MANIFEST, repack

from client.api.inference import ProductClient
from client.api.management import Management
from client.archives.model_store import ModelStore
from client.server.config import ServerConfig

TITLE = "Marlow Men Navy Classic Running Shoes"
MODEL = "quick"


@pytest.fixture(scope="module")
def cascaded(config: ServerConfig, store: ModelStore) -> Iterator[str]:
    """The intermediate model with an exit for titles alone, registered under a name of its own."""
    source, archive = store.folder / "intermediate-1.0.mar", store.folder / f"{MODEL}-1.0.mar"
    with zipfile.ZipFile(source) as content:
        settings = json.loads(content.read("settings.json"))
        manifest = json.loads(content.read(SERVER_MANIFEST))
    manifest["model"]["modelName"] = MODEL
    letters = next(each for each in settings["one_modality"] if each["modality"] == "text")
    settings["cascade"] = {
        "letters": letters, "letters_threshold": 2.0, "letters_alone_threshold": 0.0, "title_threshold": 2.0
    }  # fmt: skip
    changes = {"settings.json": settings, SERVER_MANIFEST: manifest}
    encoded = {name: json.dumps(value).encode() for name, value in changes.items()}
    repack(source, archive, version="1.0", changes=encoded, sealed=True)
    with Management(config.management_url, tokens=config.tokens()) as server_api:
        server_api.register(archive.name)
        server_api.wait_ready(MODEL, "1.0")
        yield MODEL
        server_api.unregister(MODEL, "1.0")
    archive.unlink()


def test_one_answer_exits_early_and_the_other_does_not(client: ProductClient, cascaded: str, picture: bytes) -> None:
    early, full = client.predict(text=TITLE, model=cascaded), client.predict(picture, TITLE, model=cascaded)
    assert early.computed == ("lexical",) and early.modalities == ("text",)
    assert full.computed == ("lexical", "text", "image") and not full.not_read


def test_an_explanation_computes_everything(client: ProductClient, cascaded: str) -> None:
    answer = client.explain(text=TITLE, model=cascaded)
    assert answer.prediction.computed == ("lexical", "text") and answer.text
