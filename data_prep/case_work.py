"""Cases prepared once each, by several processes; a call that was interrupted goes on where it stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from mednoisy.child_processes import start_worker, undisturbed
from mednoisy.data.images import listed
from mednoisy.errors import DONE_IN_PART, UserError
from mednoisy.files import write_text
from mednoisy.notices import tell
from mednoisy.text_files import Unusable, read_json

from .jobs import Job

RECORD = ".prepared.json"  # in the prepared folder: what each case was made from
Item = TypeVar("Item")
Result = TypeVar("Result")


def prepare_cases(jobs: Sequence[Job], target: Path, workers: int) -> int:
    """Do what is not done yet, with a progress bar; how many cases were.

    A case counts as done when its files are there and the record holds its stamp. While work is under way
    the folder has no datalist, so that cases of two settings are never listed together.
    """
    record_file = target / RECORD
    record = _recorded(record_file)
    stamps = {job.case: job.stamp() for job in jobs}
    todo = [
        job
        for job in jobs
        if record.get(job.case) != stamps[job.case] or not all(path.is_file() for path in job.outputs().values())
    ]
    if not todo:
        return 0
    (target / "datalist.json").unlink(missing_ok=True)
    for job in todo:  # whatever interrupts the work, no half-done case counts as done
        record.pop(job.case, None)
    write_text(record_file, json.dumps(record, indent=1, sort_keys=True) + "\n")
    cases_of: dict[str, list[str]] = {}
    for case, notes in tqdm(
        in_processes(_prepared, todo, workers), total=len(todo), desc="cases", unit="case", disable=None
    ):
        record[case] = stamps[case]
        write_text(record_file, json.dumps(record, indent=1, sort_keys=True) + "\n")
        for note in notes:
            cases_of.setdefault(note, []).append(case)
    for note, cases in cases_of.items():
        tell(f"note: {note}: {listed(sorted(cases))}")
    return len(todo)


def _prepared(job: Job) -> tuple[str, list[str]]:
    return job.case, job.prepare()


def in_processes(work: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterable[Result]:
    """What `work` gives for each item, as they are done.

    Raises:
        UserError: E380, a process was killed; what `work` raises.
    """
    if workers == 1 or len(items) < 2:
        yield from map(work, items)
        return
    pool = ProcessPoolExecutor(min(workers, len(items)), initializer=start_worker, initargs=(os.getpid(),))
    try:
        with undisturbed():  # workers start here
            futures: list[Future[Result]] = [pool.submit(work, item) for item in items]
        for future in as_completed(futures):
            yield future.result()
    except KeyboardInterrupt:  # nobody waits for what is being prepared
        for worker in active_children():
            worker.kill()
        raise
    except BrokenProcessPool as fault:
        cause = "a worker was killed, perhaps because memory ran out"
        raise UserError("E380", cause, "Call again with fewer --workers", exit_code=DONE_IN_PART) from fault
    finally:
        pool.shutdown(cancel_futures=True)


def _recorded(record_file: Path) -> dict[str, Any]:
    """What each case was made from; a damaged record is told, and nothing counts as done."""
    try:
        record = read_json(record_file) if record_file.is_file() else {}
        if not isinstance(record, dict):
            raise Unusable("it holds no table")
    except Unusable as fault:
        tell(f"note: {record_file} is damaged ({fault}): every case is prepared again")
        return {}
    return record
