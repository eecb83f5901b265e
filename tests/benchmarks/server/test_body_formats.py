"""How a request looks to each framework."""

import json

from benchmarks.server.load.bodies import BODY_FORMATS, TENSOR_HEADERS

CONTENT = '{"text": "Rotes Kleid für 20 €"}'.encode()


def test_a_body_as_it_is() -> None:
    assert BODY_FORMATS["plain"](CONTENT) == CONTENT


def test_a_list_of_one_product() -> None:
    assert json.loads(BODY_FORMATS["list"](CONTENT)) == {"products": [json.loads(CONTENT)]}


def test_a_tensor_of_one_text() -> None:
    """As Triton reads it: so many bytes of JSON, then for each element its length and its bytes."""
    for content in (CONTENT, b"", b"x" * 1_000_000):
        enclosed = BODY_FORMATS["tensor"](content)
        header = int(TENSOR_HEADERS["Inference-Header-Content-Length"])
        [tensor], value = json.loads(enclosed[:header])["inputs"], enclosed[header:]
        assert tensor["parameters"]["binary_data_size"] == len(value)
        assert (int.from_bytes(value[:4], "little"), value[4:]) == (len(content), content)
