"""`mednoisy query` in two processes, and after an interruption: the answer of one that nothing stopped."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
import torch

from mednoisy.active import rows_journal
from mednoisy.active.rows_journal import JournalWriter
from mednoisy.active.scoring import Scorer
from mednoisy.cli import main
from mednoisy.queries.shared_scoring import SCORED
from tests.processes_together import together
from tests.small_queries import query, read, train, write_pool

STRATEGY = "uncertain_and_different"  # scores and features
FILES = ("query.json", "query.csv", "features.h5")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_pool(tmp_path_factory.mktemp("pool"))


@pytest.fixture(scope="module")
def run(data, tmp_path_factory) -> Path:
    return train(data, tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def alone(run, tmp_path_factory) -> Path:
    """What one process leaves that nothing stops; beside the others' folders, for paths lead from there."""
    output = tmp_path_factory.mktemp("queries") / "alone"
    assert query(run, output, strategy=STRATEGY) == 0
    return output


def words(run: Path, output: Path, *more: str) -> list[str]:
    asked = ["--strategy", STRATEGY, "--budget", "2", "--output", str(output)]
    return ["query", str(run), *asked, "--device", "cpu", *more]


def assert_as_alone(output: Path, alone: Path) -> None:
    for name in FILES:
        assert (output / name).read_bytes() == (alone / name).read_bytes(), name
    assert not (output / SCORED).exists()


@pytest.fixture
def scored(monkeypatch) -> list[str]:
    """Ids of the cases that the network scores."""
    seen: list[str] = []
    rows = Scorer.rows
    monkeypatch.setattr(
        Scorer, "rows", lambda self, image, case, fields: seen.append(case) or rows(self, image, case, fields)
    )
    return seen


def killed_in_case(number: int) -> None:
    """Let the process be killed in the midst of writing down its `number`-th case."""
    add, count = JournalWriter.add, [0]

    def add_or_die(self, case, made_of, rows):
        count[0] += 1
        if count[0] == number:
            add(self, case, made_of, rows)
            self._stream.truncate(self._stream.tell() - 1)
            os.kill(os.getpid(), signal.SIGKILL)
        add(self, case, made_of, rows)

    JournalWriter.add = add_or_die


def test_two_processes_answer_as_one_and_each_scores_its_share(run, alone, tmp_path):
    output, shares = alone.parent / "two", tmp_path

    def note_cases(rank: int) -> None:
        add = JournalWriter.add

        def noted(self, case, made_of, rows):
            with open(shares / f"{rank}.txt", "a", encoding="utf-8") as stream:
                print(case, file=stream)
            add(self, case, made_of, rows)

        JournalWriter.add = noted

    assert together(words(run, output), tmp_path, note_cases) == ([0, 0], [])
    assert_as_alone(output, alone)
    assert (shares / "0.txt").read_text(encoding="utf-8").split() == ["u1", "u3", "u5", "b1"]
    assert (shares / "1.txt").read_text(encoding="utf-8").split() == ["u2", "u4", "a1", "c1"]


def test_a_process_that_dies_ends_all_with_one_line_and_the_query_goes_on(run, alone, tmp_path, scored):
    output = alone.parent / "dies"
    codes, told = together(words(run, output), tmp_path, lambda rank: killed_in_case(2) if rank else None)
    assert codes == [1, -signal.SIGKILL]
    (line,) = told
    assert line.startswith("mednoisy: E561 another process of this query has ended. Its own message says why; ")
    assert main(words(run, output)) == 0
    assert scored == ["u4"]
    assert_as_alone(output, alone)


def test_a_signal_to_all_is_told_once_and_the_query_goes_on(run, alone, tmp_path, scored):
    """As torchrun sends it to its processes."""
    output = alone.parent / "stopped"

    def stopped_in_second_case(rank: int) -> None:
        rows = Scorer.rows

        def stop(self, image, case, fields):
            if case in ("u3", "u4"):
                os.kill(os.getpid(), signal.SIGTERM)
            return rows(self, image, case, fields)

        Scorer.rows = stop

    codes, told = together(words(run, output), tmp_path, stopped_in_second_case)
    assert codes == [1, 1]
    assert told == ["mednoisy: interrupted; what was scored is kept, so call the same again"]
    assert main(words(run, output)) == 0
    assert scored == ["u3", "u4", "u5"]
    assert_as_alone(output, alone)


def test_what_both_processes_are_refused_for_is_told_once(run, tmp_path):
    codes, told = together(words(run, tmp_path / "out", "--pooling", "max"), tmp_path)
    assert codes == [2, 2]
    assert [line[:40] for line in told] == ["mednoisy: E515 unknown --pooling 'max'. "]
    codes, told = together(words(run, tmp_path / "out", "--budget", "6"), tmp_path)
    assert codes == [2, 2]
    assert [line[:26] for line in told] == ["mednoisy: E394 6 cases are"]
    assert not (tmp_path / "out").exists()


def test_a_case_that_the_second_process_cannot_read_is_told_by_the_first(data, run, tmp_path):
    torn = tmp_path / "scans"
    torn.mkdir()
    for name in ("u1", "u2", "u3"):
        (torn / f"v{name}.nii.gz").write_bytes((data / "images" / f"{name}.nii.gz").read_bytes())
    (torn / "vu2.nii.gz").write_bytes(b"torn")
    codes, told = together(words(run, tmp_path / "out", "--images", str(torn)), tmp_path)
    assert codes == [1, 0]
    assert [line[:26] for line in told] == ["mednoisy: E202 case 'vu2':"]
    assert [case["id"] for case in read(tmp_path / "out")["failed"]] == ["vu2"]


def test_a_query_that_was_killed_goes_on_where_it_stopped(run, alone, tmp_path, scored, capsys):
    output = alone.parent / "killed"
    if not (process := os.fork()):
        killed_in_case(3)
        main(words(run, output))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL
    assert main(words(run, output)) == 0
    assert "mednoisy: 2 of 8 cases are scored already, and are not scored again" in capsys.readouterr().err
    assert scored == ["u3", "u4", "u5"]
    assert_as_alone(output, alone)


def test_a_query_that_was_told_to_stop_goes_on_and_scores_anew_where_it_must(
    data, run, alone, tmp_path, scored, capsys, monkeypatch
):
    """Not what another network, another option or another image had given."""
    output = alone.parent / "told"
    rows = Scorer.rows

    def stopped(self, image, case, fields):
        if case == "u4":
            os.kill(os.getpid(), signal.SIGTERM)
        return rows(self, image, case, fields)

    with monkeypatch.context() as patched:
        patched.setattr(Scorer, "rows", stopped)
        assert main(words(run, output)) == 1
    assert "mednoisy: interrupted by SIGTERM" in capsys.readouterr().err
    del scored[:]
    assert main(words(run, output, "--pooling", "top_share")) == 0
    assert scored[:5] == ["u1", "u2", "u3", "u4", "u5"]


def test_rows_of_another_network_or_option_or_image_are_not_read(run, data, tmp_path):
    """Facts tell networks, preprocessing and options apart; a file of other facts holds nothing, wherever it lies."""
    from mednoisy.queries.query_with_run import scorer_of
    from mednoisy.queries.question import Question
    from mednoisy.runs.opened_run import opened_run

    opened = opened_run(run)
    facts = [scorer_of(Question("entropy", 1, pooling=rule), opened).facts for rule in (None, "top_share")]
    assert facts[0] != facts[1]
    assert scorer_of(Question("bald", 1, seed=0), opened).facts != scorer_of(Question("bald", 1, seed=1), opened).facts
    before = opened.scoring_facts
    del opened.__dict__["scoring_facts"]
    with torch.no_grad():
        next(opened.network.parameters()).view(-1)[0] += 1
    assert {name for name, value in opened.scoring_facts.items() if value != before[name]} == {"networks"}
    with JournalWriter(tmp_path, before) as journal:
        journal.add("u1", "x", {})
    assert "u1" in rows_journal.Journal(tmp_path, before)
    assert "u1" not in rows_journal.Journal(tmp_path, opened.scoring_facts)


@pytest.mark.parametrize("unit", [(), ("--unit", "slice")])
def test_a_case_that_was_labeled_after_an_interruption_is_seen_as_it_is_now(data, run, alone, monkeypatch, unit):
    """What was scored of it as one of the pool is no row of the labeled ones."""
    place = f"relabeled{len(unit)}"
    (alone.parent / f"{place}-data").mkdir()
    content = json.loads((data / "datalist.json").read_text(encoding="utf-8"))
    for case in [case for name in ("labeled", "unlabeled", "hidden") for case in content[name]]:
        case |= {key: str(data / case[key]) for key in ("image", "label") if key in case}
    first, hidden = content["unlabeled"].pop(0), content["hidden"].pop(0)
    content["labeled"][0] = first | {"label": hidden["label"]}  # as many as the run was told to take
    later = alone.parent / f"{place}-data" / "datalist.json"
    later.write_text(json.dumps(content), encoding="utf-8")

    with monkeypatch.context() as patched:
        add = JournalWriter.add

        def stop(self, case, made_of, rows):
            if case == "u3":
                raise KeyboardInterrupt
            add(self, case, made_of, rows)

        patched.setattr(JournalWriter, "add", stop)
        assert query(run, alone.parent / place, *unit, strategy=STRATEGY) == 1
    more = ("--data", str(later.parent), *unit)
    assert query(run, alone.parent / place, *more, strategy=STRATEGY) == 0
    assert query(run, alone.parent / f"{place}-anew", *more, strategy=STRATEGY) == 0
    found, wanted = (alone.parent / name / "query.json" for name in (place, f"{place}-anew"))
    assert found.read_bytes() == wanted.read_bytes()
