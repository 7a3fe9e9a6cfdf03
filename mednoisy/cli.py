"""The command line: parses, calls, prints. Everything it does can be called from Python in one line."""

from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from mednoisy.arguments import parser
from mednoisy.errors import DONE, DONE_IN_PART, UserError

NO_PLACE = (  # what the place of the output is at fault for
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOTDIR, errno.EEXIST),
)

FOLDER_OPTIONS = (
    *("predictions", "references", "output", "images", "labels", "map", "strip", "strict", "allow_missing"),
    *("tolerance", "workers"),
)  # of `evaluate`, where it scores label maps instead of a run


def _demo(options: argparse.Namespace) -> int:
    from mednoisy.demo import run_demo

    page = run_demo(options.output, steps=options.steps, seed=options.seed)
    print(f"report: {page}")
    print("next: open it in a browser, then see docs/reference/datalists.md and `mednoisy train --help`")
    return DONE


def _train(options: argparse.Namespace) -> int:
    from mednoisy.composition.workflow import checked_path, compose, parse_setting

    output = checked_path(options.output, "--output")
    overrides: dict[str, Any] = {
        "dataset_dir": checked_path(options.data, "--data"),
        "output_dir": output,
        "model_file": str(Path(output) / "models" / "model.pt"),
    }
    for name in ("labeled", "validation", "steps", "seed"):
        if getattr(options, name) is not None:
            overrides[name] = getattr(options, name)
    if options.pretrained is not None:
        overrides["pretrained"] = checked_path(options.pretrained, "--pretrained")
    if options.teacher is not None:
        overrides["teacher_run"] = checked_path(options.teacher, "--teacher")
    overrides |= _device(options)
    if options.resume:
        overrides["resume"] = True
    overrides |= dict(parse_setting(text) for text in options.set)
    configs = ("multi_gpu",) if int(os.environ.get("WORLD_SIZE", 1)) > 1 else ()  # set by torchrun
    composition = compose(options.bundle, options.method, options.recipe, configs, overrides, options.dataset)
    first = os.environ.get("RANK", "0") == "0"
    if first:
        print(composition.command, flush=True)
    composition.run()
    if first:
        _tell(options.output)
    return DONE


def _device(options: argparse.Namespace) -> dict[str, str]:
    from mednoisy.composition.workflow import checked_device

    return {"device": checked_device(options.device)} if options.device else {}


def _tell(run: Path) -> None:
    from mednoisy.report.tables.terminal_tables import result_lines

    print(*result_lines(run), f"report: {run / 'report.html'}", sep="\n")


def _evaluate(options: argparse.Namespace) -> int:
    if options.run is None:
        return _evaluate_folders(options)
    given = [f"--{name.replace('_', '-')}" for name in FOLDER_OPTIONS if getattr(options, name)]
    if given:
        raise UserError("E113", f"{given[0]} does not go with a run", "Give a run alone, or folders alone")
    from mednoisy.composition.workflow import of_run

    of_run(options.run, _device(options)).run("evaluate")
    _tell(options.run)
    return DONE


def _evaluate_folders(options: argparse.Namespace) -> int:
    missing = [f"--{name}" for name in ("predictions", "references", "output") if getattr(options, name) is None]
    if missing:
        cure = "Give --predictions, --references and --output, or the folder of a run"
        raise UserError("E113", f"{' and '.join(missing)} missing", cure)
    from mednoisy.evaluation.folder_scoring import ScoringRules, evaluate_folders
    from mednoisy.report.run_page import write_report

    signal.signal(signal.SIGTERM, _interrupt)  # so that workers are stopped with this process
    rules = ScoringRules(
        labels=None if options.labels is None else _once(options.labels, "--labels"),
        mapping=_once(options.map or (), "--map"),
        strict=options.strict,
        tolerance=1.0 if options.tolerance is None else options.tolerance,
    )
    faults = evaluate_folders(
        options.predictions, options.references, options.output, rules,
        images=options.images, strip=options.strip, allow_missing=options.allow_missing, workers=options.workers,
    )  # fmt: skip
    for fault in faults:
        print(f"mednoisy: {fault}", file=sys.stderr)
    write_report([options.output], options.output / "report.html")
    _tell(options.output)
    return DONE_IN_PART if faults else DONE


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _once(pairs: Sequence[tuple[int, Any]], option: str) -> dict[int, Any]:
    """Code to name or code; refuses a code that is given twice."""
    twice = [code for code, count in Counter(code for code, _ in pairs).items() if count > 1]
    if twice:
        raise UserError("E100", f"{option} names code {twice[0]} more than once", "Name each code once")
    return dict(pairs)


def _compare(options: argparse.Namespace) -> int:
    from mednoisy.report.run_page import write_report
    from mednoisy.report.tables.terminal_tables import check_metric, comparison_lines, table_text

    if len(options.runs) < 2:
        raise UserError("E114", "one run cannot be compared", "Give two or more, or call mednoisy report")
    check_metric(options.metric)
    lines = (
        [table_text(options.runs, options.table)] if options.table else comparison_lines(options.runs, options.metric)
    )
    write_report(options.runs, options.output)
    print(*lines, sep="\n")
    print(f"report: {options.output}", file=sys.stderr if options.table else sys.stdout)
    return DONE


def _predict(options: argparse.Namespace) -> int:
    from mednoisy.trained_run import predict_with_run

    print(*predict_with_run(options.run, options.images, options.output, _device(options)), sep="\n")
    return DONE


def _report(options: argparse.Namespace) -> int:
    from mednoisy.report.run_page import write_report
    from mednoisy.report.tables.terminal_tables import table_text

    output = options.output or options.run / "report.html"
    write_report([options.run], output)
    if options.table:
        print(table_text([options.run], options.table))
    print(f"report: {output}", file=sys.stderr if options.table else sys.stdout)
    return DONE


def _study(options: argparse.Namespace) -> int:
    from mednoisy.composition.workflow import parse_setting
    from mednoisy.study import Study

    study = Study(
        bundle=options.bundle,
        data=options.data,
        output=options.output,
        methods=options.methods,
        labeled=options.labeled,
        seeds=options.seeds,
        steps=options.steps,
        validation=options.validation,
        settings=dict(parse_setting(text) for text in options.set),
        dataset=options.dataset,
    )
    failed = study.run()
    for name in failed:
        print(f"mednoisy: {name} failed, see above; call the study again to go on with it", file=sys.stderr)
    print(study.table_file)
    return DONE_IN_PART if failed else DONE


def _prepare(options: argparse.Namespace) -> int:
    from importlib import import_module

    from mednoisy.composition.workflow import prepared_datasets
    from mednoisy.errors import did_you_mean

    if options.dataset not in prepared_datasets():
        raise UserError(
            "E101", f"unknown dataset {options.dataset!r}", did_you_mean(options.dataset, prepared_datasets())
        )
    return import_module(f"mednoisy.data_prep.{options.dataset}").main(options.arguments)


def _check(options: argparse.Namespace) -> int:
    from mednoisy.bundle_check import check, table

    checked = check(options.bundles, options.method, options.recipe)
    print(*table(checked), sep="\n")
    for each in checked:
        for fault in each.faults:
            print(f"mednoisy: {each.name}: {fault}", file=sys.stderr)
    return DONE_IN_PART if any(each.faults for each in checked) else DONE


COMMANDS = {
    "demo": _demo,
    "train": _train,
    "evaluate": _evaluate,
    "compare": _compare,
    "predict": _predict,
    "report": _report,
    "study": _study,
    "prepare": _prepare,
    "check": _check,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code: 0 done, 1 done in part, 2 refused.
    """
    try:
        options = parser().parse_args(arguments)
        code = COMMANDS[options.command](options)
        sys.stdout.flush()
        return code
    except UserError as fault:
        print(f"mednoisy: {fault}", file=sys.stderr)
        return fault.exit_code
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE_IN_PART
    except OSError as fault:
        if fault.errno not in NO_PLACE:
            raise
        refusal = UserError("E106", f"{fault.filename or 'output'}: {fault.strerror}", "Choose another place")
        print(f"mednoisy: {refusal}", file=sys.stderr)
        return refusal.exit_code
    except KeyboardInterrupt:
        print("mednoisy: interrupted", file=sys.stderr)
        return DONE_IN_PART


if __name__ == "__main__":
    sys.exit(main())
