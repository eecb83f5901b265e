"""All five models registered one after the other, and a switch of the version while requests come in."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from live_server import repack

from client.api.errors import ClientError
from client.api.inference import ProductClient
from client.api.management import Management
from client.archives.model_store import ModelStore, identify_archive
from client.rollout.rollout import RefusedError, Rollout
from client.server.config import ServerConfig

TITLE = "Marlow Men Navy Classic Running Shoes"
CALLERS = 4


@pytest.mark.parametrize("model", ["image", "text", "early", "late"])
def test_every_model_can_be_registered_and_answers(
    rollout: Rollout, management: Management, client: ProductClient, picture: bytes, model: str
) -> None:
    rollout.register(f"{model}.mar")
    answer = client.predict(picture, TITLE, model=model)
    assert answer.model["name"] == model
    assert answer.modalities == {"image": ("image",), "text": ("text",)}.get(model, ("image", "text"))
    assert management.default_version("intermediate") == "1.0"
    management.unregister(model, "1.0")


class Callers:
    """Threads that ask without a pause, and count what they get."""

    def __init__(self, config: ServerConfig) -> None:
        self.versions: Counter[str] = Counter()
        self.failures: list[ClientError] = []
        self._config = config
        self._end = threading.Event()
        self._lock = threading.Lock()

    def run(self) -> None:
        with ProductClient(self._config.inference_url, tokens=self._config.tokens()) as client:
            while not self._end.is_set():
                try:
                    version = client.predict(text=TITLE).model["version"]
                except ClientError as error:
                    self.failures.append(error)
                    self._end.wait(0.1)
                else:
                    with self._lock:
                        self.versions[version] += 1

    @contextmanager
    def calling(self) -> Iterator[None]:
        threads = [threading.Thread(target=self.run) for _ in range(CALLERS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._end.set()
            for thread in threads:
                thread.join()


def test_a_switch_and_the_way_back_lose_nothing(
    config: ServerConfig, rollout: Rollout, client: ProductClient, management: Management, store: ModelStore
) -> None:
    callers = Callers(config)
    with callers.calling():
        rollout.switch("intermediate", "2.0")
        assert {client.predict(text=TITLE).model["version"] for _ in range(20)} == {"2.0"}
        assert identify_archive(store.folder / "intermediate.mar").version == "2.0"
        assert rollout.rollback("intermediate") == "1.0"
    assert not callers.failures
    assert callers.versions["1.0"] and callers.versions["2.0"]
    assert [version.version for version in management.versions("intermediate")] == ["1.0"]
    assert identify_archive(store.folder / "intermediate.mar").version == "1.0"


def test_a_broken_version_is_refused(
    rollout: Rollout, client: ProductClient, management: Management, store: ModelStore
) -> None:
    source = store.version("intermediate", "1.0").path
    repack(source, store.folder / "intermediate-3.0.mar", version="3.0", changes={"model.onnx": b"no graph"})
    with pytest.raises(RefusedError, match=r"refused: .*model\.onnx .* intermediate 1\.0 is still the default version"):
        rollout.switch("intermediate", "3.0")
    assert [version.version for version in management.versions("intermediate")] == ["1.0"]
    assert client.predict(text=TITLE).model["version"] == "1.0"


def test_a_truncated_archive_is_refused(rollout: Rollout, management: Management, store: ModelStore) -> None:
    path = store.folder / "intermediate-4.0.mar"
    path.write_bytes(Path(store.version("intermediate", "1.0").path).read_bytes()[:1000])
    with pytest.raises(ClientError, match=r"intermediate-4\.0\.mar: .* cannot be read"):
        rollout.switch("intermediate", "4.0")
    assert [version.version for version in management.versions("intermediate")] == ["1.0"]
