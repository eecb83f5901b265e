"""Errors have the contract's codes, and a failing step is logged without its input."""

import pytest

from handlers.product_serving.errors import ERROR_CODES, ProductError, run_step

CONTRACT = {
    400: {"missing_field", "unknown_field", "invalid_json", "invalid_base64", "invalid_text", "out_of_range"},
    413: {"image_too_large", "text_too_long", "too_many_instances"},
    415: {"unsupported_image"},
    422: {"image_corrupt", "image_empty", "image_bad_shape"},
    500: {"model_output_invalid", "internal_error"},
    507: {"out_of_memory"},
}


def test_the_codes_are_the_contracts() -> None:
    assert {(kind, code) for code, kinds in CONTRACT.items() for kind in kinds} == set(ERROR_CODES.items())


def test_an_error_becomes_the_answer() -> None:
    error = ProductError("image_empty", "image: the file is empty")
    assert error.as_dict() == {"code": 422, "type": "image_empty", "message": "image: the file is empty"}
    assert str(error) == "image: the file is empty"


def test_an_unknown_type_is_a_programming_error() -> None:
    with pytest.raises(KeyError, match="no_such_type"):
        ProductError("no_such_type", "")


def test_run_step_returns_results_and_product_errors() -> None:
    error = ProductError("image_empty", "")

    def refuse() -> None:
        raise error

    assert run_step(divmod, 7, 2) == (3, 1)
    assert run_step(refuse) is error


def test_run_step_turns_exceptions_into_errors(caplog: pytest.LogCaptureFixture) -> None:
    def exhaust() -> None:
        raise MemoryError

    def quote(secret: str) -> None:
        int(secret)

    memory, bug = run_step(exhaust), run_step(quote, "canary")
    assert isinstance(memory, ProductError) and memory.code == 507
    assert isinstance(bug, ProductError) and bug.type == "internal_error"
    assert caplog.messages[0].startswith("a product failed with ValueError at test_product_errors.py:")
    assert "canary" not in caplog.text + bug.message


def test_run_step_does_not_catch_a_stop() -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_step(stop)
