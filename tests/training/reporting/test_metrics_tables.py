"""What a command prints of its models: a table for each attribute."""

from training.reporting.report import metrics_tables


def test_each_attribute_has_a_table_and_what_is_not_known_a_dash() -> None:
    numbers = {"accuracy": 0.98765, "macro_f1": 0.5, "coverage_at_95_precision": 1.0}
    metrics = {"single_key": {"kind": numbers, "gender": numbers}, "baseline": {"kind": {"accuracy": 1, "macro_f1": 1}}}
    kind, gender = metrics_tables(metrics).split("\n\n")
    assert kind.splitlines()[0] == "kind:" and gender.splitlines()[0] == "gender:"
    assert [cell.strip() for cell in kind.splitlines()[3].split("|")[1:-1]] == ["single key", "98.8", "50.0", "100.0"]
    assert [cell.strip() for cell in kind.splitlines()[4].split("|")[1:-1]] == ["TF-IDF + SVM", "100.0", "100.0", "–"]
    assert len(gender.splitlines()) == 4
