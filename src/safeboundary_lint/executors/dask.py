"""Files checked by the workers of a Dask cluster.

Only what passes the screen travels. What a lost worker had in hand the engine gives to another one.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence

from distributed import Client, Future, KilledWorker, as_completed

from safeboundary_lint import identity
from safeboundary_lint.checking import Content, Outcome, check, outcome_of, read, report_of
from safeboundary_lint.config import ConfigError
from safeboundary_lint.core.finding import FileReport
from safeboundary_lint.core.source import Source, Undecodable
from safeboundary_lint.core.words import Words
from safeboundary_lint.executors import portions
from safeboundary_lint.executors.processes import alone
from safeboundary_lint.files import SourceFile
from safeboundary_lint.garbage import seldom_collected
from safeboundary_lint.ruleset import screen_of

# A batch is this many bytes of source: some seconds of work, small enough for a message.
BATCH_BYTES = 400_000
BATCH_FILES = 20
PATIENCE = 10  # seconds to wait for the scheduler

Batch = list[tuple[int, SourceFile, Content]]
_one_at_a_time = threading.Lock()


def on_dask(files: Sequence[SourceFile], scheduler: str) -> Iterator[tuple[int, Outcome]]:
    """Checks on the workers of the scheduler at an address such as `tcp://host:8786`. Raises ConfigError."""
    try:
        client = Client(scheduler, timeout=PATIENCE, set_as_default=False, name="safeboundary-lint")
    except (OSError, ValueError) as error:
        raise ConfigError(f"--scheduler {scheduler}: no scheduler answers there: {error}") from None
    with client:
        waiting: deque[list[int]] = deque(portions(files, BATCH_BYTES, BATCH_FILES))
        flying: dict[Future, Batch] = {}
        done = as_completed(loop=client.loop)
        while waiting or flying:
            while waiting and len(flying) < 3 * max(1, sum(client.nthreads().values())):
                batch: Batch = []
                for index in waiting.popleft():
                    outcome = _settled_here(files[index])
                    if isinstance(outcome, Outcome):
                        yield index, outcome
                    else:
                        batch.append((index, files[index], outcome))
                if batch:
                    future = client.submit(_work, [(file, content.source) for _, file, content in batch], pure=False)
                    flying[future] = batch
                    done.add(future)
            if flying:
                future = next(done)
                batch = flying.pop(future)
                yield from zip((index for index, _, _ in batch), _outcomes(future, batch))


def _settled_here(file: SourceFile) -> Outcome | Content:
    """The outcome for a file that needs no worker, or the content of one that does."""
    try:
        content = read(file)
        text = Source.decode(content.source).text
    except (OSError, Undecodable):
        return check(file)
    screen = screen_of(file.options.knowledge)
    if screen.possible(screen.wanted(file.options.codes), Words(text)):
        return content
    return outcome_of(content, report_of(file, content.source))


def _outcomes(future: Future, batch: Batch) -> list[Outcome]:
    try:
        worker, reports = future.result()
    except KilledWorker:  # several died of it: the files are checked here, each in a process that may die too
        return [alone(file) for _, file, _ in batch]
    except ImportError as error:
        raise ConfigError(f"--executor dask: install safeboundary-lint on the workers too: {error}") from None
    if worker != identity.content():
        raise ConfigError("--executor dask: a worker has another safeboundary-lint, LibCST or Python than this machine: install the same")
    return [outcome_of(content, report) for (_, _, content), report in zip(batch, reports)]


def _work(batch: list[tuple[SourceFile, bytes]]) -> tuple[str, list[FileReport]]:
    """On a worker: the reports of a batch, and what analysis made them."""
    with _one_at_a_time, seldom_collected():
        return identity.content(), [report_of(file, source) for file, source in batch]
