"""What a notebook calls gives what the commands give."""

from pathlib import Path

import mlops_cls as mc


def test_a_run_evaluated_again_scores_otherwise(tiny_run: mc.Run) -> None:
    evaluation = mc.evaluate_run(tiny_run.folder)
    assert evaluation.to_dict() == tiny_run.evaluation
    assert evaluation.scores().items() <= tiny_run.metrics.items()


def test_a_run_differs_from_itself(tiny_run: mc.Run) -> None:
    rows = mc.evaluate_run(tiny_run.folder, "val", against=[tiny_run.folder]).against
    assert rows
    assert all(row["difference"] == 0 and row["p"] == 1 for row in rows)


def test_runs_are_compared_with_another_than_the_first(tiny_run: mc.Run) -> None:
    comparison = mc.compare_runs(tiny_run.folder)
    assert comparison.against == str(tiny_run.folder)
    assert [row.scores["accuracy"]["value"] for row in comparison.rows] == [tiny_run.metrics["test/accuracy"]]


def test_a_bundle_is_written_elsewhere_than_asked(tiny_run: mc.Run, tmp_path: Path) -> None:
    bundle = mc.export_run(tiny_run.folder, tmp_path / "here", weights=True)
    assert bundle.folder == tmp_path / "here"
    assert bundle.weights is not None
    assert mc.Bundle.open(tmp_path / "here").card == bundle.card
