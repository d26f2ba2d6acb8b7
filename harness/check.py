"""Histories that were recorded elsewhere: from a file to a verdict, and to a picture of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from checkers.formats import Format, detect_format, read_history
from checkers.history import HistoryError
from checkers.linear import Linearizable, Progress
from checkers.linear.draw import html, svg
from checkers.models import FailedCas, guess_model, model_named
from checkers.named import NAMED
from checkers.verdict import Verdict
from harness.report.atomic import write_atomically


@dataclass(frozen=True, slots=True)
class Reading:
    """How files are to be read; None: their content tells. `model` is a spec as `model_named` takes it.
    `html` and `svg`: where a picture of the verdict goes. `checker`: one of `NAMED`; None: linearizability,
    which alone has a model and pictures."""

    model: str | None = None
    form: Format | None = None
    failed_cas: FailedCas | None = None
    independent: bool = False
    html: Path | None = None
    svg: Path | None = None
    checker: str | None = None

    def judge(self, file: str, progress: Callable[[Progress], None] | None = None) -> Verdict:
        """Raises `HistoryError`, one sentence that names the file, and `ArtifactsError`."""
        if os.path.exists(file) and not os.path.isfile(file):
            raise HistoryError(f"{file}: not a regular file")
        path = Path(file)
        history = read_history(path, form=self.form, independent=self.independent)
        form = self.form or detect_format(path)
        try:
            if self.checker is not None:
                return NAMED[self.checker]().check(history)
            checker = Linearizable(
                model_named(self.model or guess_model(history)),
                failed_cas=self.failed_cas or form.failed_cas,
                witness=bool(self.html or self.svg),
                progress=progress,
            )
            verdict = checker.check(history)
        except HistoryError as error:
            raise HistoryError(f"{file}: {error}") from None
        if self.html:
            write_atomically(self.html, html(verdict, path.name, history).encode())
        if self.svg:
            write_atomically(self.svg, svg(verdict, history).encode())
        return verdict
