"""The commands that compare: `impasto experiment run`, `report`, `export` and `list`, and `impasto compare`."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import tyro

from impasto.cli.flags import form_of, given, named_as_flag, parse
from impasto.cli.listing import ListForm, show

_folder = tyro.conf.arg(aliases=["-o"], metavar="FOLDER", help_behavior_hint="(required)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Running:
    """How paintings are made, and where they lie."""

    output: Annotated[str | None, _folder] = None
    """Folder of the pictures, the figures and the report; what is done there already is not done again."""
    workers: int = 1
    """Processes that paint at a time, each on one thread; one uses all threads."""
    runner: Annotated[str, tyro.conf.arg(metavar="{processes,ray}", help_behavior_hint="(default: processes)")] = (
        "processes"
    )
    """Where the workers run: on this machine, or on a Ray cluster."""
    ray_address: Annotated[str | None, tyro.conf.arg(metavar="ADDRESS", help_behavior_hint="")] = None
    """Of a Ray cluster; else one is started on this machine, which nobody outside reaches."""
    gpus: Annotated[float | None, tyro.conf.arg(metavar="SHARE", help_behavior_hint="")] = None
    """Of a GPU, for each worker on Ray; 1 unless given, where the cluster has any."""
    retry: tyro.conf.FlagCreatePairsOff[bool] = False
    """Try those again that failed before."""
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print one JSON object on the last line of stdout."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunForm(Running):
    """Paint and judge what an experiment asks for, and report; stopped or extended, it paints only what is missing."""

    experiment: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="FILE|NAME", help_behavior_hint="(required)")
    ] = ()
    """A YAML file, or an experiment that `impasto experiment list` shows."""
    quick: tyro.conf.FlagCreatePairsOff[bool] = False
    """Its quick form: small pictures and few steps, to see that all works."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportForm:
    """Write the report of an experiment again, of what is done so far."""

    folder: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="FOLDER", help_behavior_hint="(required)")
    ] = ()
    """Where the experiment was run."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportForm:
    """File the runs of an experiment with MLflow: settings, curves, figures and pictures."""

    folder: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="FOLDER", help_behavior_hint="(required)")
    ] = ()
    """Where the experiment was run."""
    mlflow: Annotated[str | None, tyro.conf.arg(metavar="URI", help_behavior_hint="(required)")] = None
    """A server, http://HOST:PORT, or a file, sqlite:///FILE. What it holds already is let be."""


def run(arguments: list[str]) -> int:
    """`impasto experiment run`."""
    form, rest = parse(RunForm, arguments, command="experiment run")
    names = [*form.experiment, *rest]
    if len(names) != 1:
        raise ValueError(f"give one FILE or NAME, not {len(names)}; see impasto experiment run --help")
    from impasto.experiments.bundled import find_experiment

    file = find_experiment(names[0])
    from impasto.experiments.expand import read_experiment

    return _carry_out(read_experiment(file, quick=form.quick), form)


def report(arguments: list[str]) -> int:
    """`impasto experiment report`."""
    form, rest = parse(ReportForm, arguments, command="experiment report")
    with _opened([*form.folder, *rest], "report") as store:
        page, sentences = _report(store)
    print("\n".join([str(page), *sentences]))
    return 0


def export(arguments: list[str]) -> int:
    """`impasto experiment export`."""
    form, rest = parse(ExportForm, arguments, command="experiment export")
    if form.mlflow is None:
        raise ValueError("say where it goes: --mlflow URI")
    from impasto.experiments.tracking import export as export_to_mlflow

    with _opened([*form.folder, *rest], "export") as store:
        fresh, ended = export_to_mlflow(store, form.mlflow)
    print(f"{form.mlflow}: {fresh} of {ended} runs are new")
    return 0


def list_bundled(arguments: list[str]) -> int:
    """`impasto experiment list`."""
    form, rest = parse(ListForm, arguments, command="experiment list")
    if rest:
        raise ValueError(f"impasto experiment list takes no {rest[0]!r}; see impasto experiment list --help")
    from impasto.experiments.bundled import bundled

    rows = [{"name": name, "summary": summary} for name, summary in bundled().items()]
    return show(rows, as_json=form.json, columns=("name", "summary"))


def compare(arguments: list[str]) -> int:
    """`impasto compare`."""
    form, rest = parse(_compare_form(), arguments, command="compare")
    pictures = [*form.pictures, *rest]
    if len(pictures) != 2:
        raise ValueError(f"give a CONTENT and a STYLE, not {len(pictures)}; see impasto compare --help")
    from impasto.experiments.expand import experiment_of
    from impasto.experiments.yaml_source import Document
    from impasto.methods import METHODS

    settings = given(form.shared)
    grid = {
        "name": "compare",
        "summary": f"{Path(pictures[0]).stem} after {Path(pictures[1]).stem}",
        "product": {"methods": list(form.methods) or [name for name in METHODS if METHODS[name].any_style]},
        "pairs": [pictures],
        "seeds": [settings.pop("seed", 0)],
        "settings": {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()},
    }
    try:
        experiment = experiment_of(Document(grid, Path.cwd()))
    except ValueError as error:
        message = re.sub("^seeds: ", "seed: ", str(error))
        raise ValueError(named_as_flag(message, [*settings, "seed"])) from None
    return _carry_out(experiment, form)


def _compare_form() -> type[Any]:
    """The flags of `impasto compare`: those of every method, and two that nearly every method has."""
    from impasto.config import MethodConfig
    from impasto.methods import METHODS
    from impasto.methods.gatys import GatysConfig

    names = [*MethodConfig.__dataclass_fields__, "backbone", "steps"]
    shared: Any = form_of(GatysConfig, names=names, title="settings, for the methods that have them")
    pictures = tyro.conf.arg(
        metavar="CONTENT STYLE", help="Files or names of samples.", help_behavior_hint="(required)"
    )
    methods = tyro.conf.arg(
        metavar=f"{{{','.join(METHODS)}}} [...]", help="Which methods; all unless given.", help_behavior_hint=""
    )
    form = dataclasses.make_dataclass(
        "CompareForm",
        [
            ("pictures", Annotated[tuple[str, ...], tyro.conf.Positional, pictures], dataclasses.field(default=())),
            ("methods", Annotated[tuple[str, ...], methods], dataclasses.field(default=())),
            ("shared", Annotated[shared, tyro.conf.OmitArgPrefixes], dataclasses.field(default_factory=shared)),
        ],
        bases=(Running,),
        frozen=True,
        kw_only=True,
    )
    form.__doc__ = "Paint one picture by several methods, judge, and report."
    return form


def _carry_out(experiment: Any, form: Running) -> int:
    """Runs an experiment and reports; returns the exit status."""
    from impasto.experiments.runner import work, work_together
    from impasto.experiments.store import Store

    if form.output is None:
        raise ValueError("say where it goes: -o FOLDER")
    if not 1 <= form.workers <= 1024:
        raise ValueError(f"--workers: give 1 to 1024, not {form.workers}")
    if form.runner not in ("processes", "ray"):
        raise ValueError(f"--runner: unknown runner {form.runner!r}; choose from processes, ray")
    for flag, value in (("--ray-address", form.ray_address), ("--gpus", form.gpus)):
        if value is not None and form.runner != "ray":
            raise ValueError(f"{flag} is for --runner ray")
    if form.gpus is not None and not 0 <= form.gpus <= 16:
        raise ValueError(f"--gpus: give 0 to 16, not {form.gpus:g}")
    store = Store(form.output, create=True)
    store.enrol(experiment)
    if form.retry:
        store.retry()
    total, stopped = sum(store.counts().values()), False

    def say(run: Any) -> None:
        counts = store.counts()
        cell = f"{run.task.variant}: {Path(run.task.content).stem} after {Path(run.task.style).stem}"
        how = f"failed: {run.error}" if run.status == "failed" else f"{run.seconds:.1f} s"
        print(f"{counts['done'] + counts['failed']}/{total}  {cell}  {how}", file=sys.stderr, flush=True)

    try:
        if form.runner == "ray":
            from impasto.experiments.cluster import work_on_ray

            address, gpus = form.ray_address, form.gpus
            work_on_ray(form.output, experiment, workers=form.workers, address=address, gpus=gpus, on_run=say)
        elif form.workers == 1:
            work(form.output, experiment, on_run=say)
        else:
            work_together(form.output, experiment, workers=form.workers, on_run=say)
    except KeyboardInterrupt:
        stopped = True
        print("impasto: stopped; the same command goes on", file=sys.stderr, flush=True)
    page, sentences = (None, []) if stopped else _report(store)
    counts = store.counts()
    store.close()
    _summarize(form, counts, page, sentences)
    return 130 if stopped else 0


@contextmanager
def _opened(folders: list[str], command: str) -> Iterator[Any]:
    """The store of the one folder that was named."""
    if len(folders) != 1:
        raise ValueError(f"give one FOLDER, not {len(folders)}; see impasto experiment {command} --help")
    from impasto.experiments.store import Store

    store = Store(folders[0])
    try:
        yield store
    finally:
        store.close()


def _report(store: Any) -> tuple[Path, list[str]]:
    """Writes the report of a store; returns its path, and what was found out, in sentences."""
    from impasto.experiments.findings import FINDINGS
    from impasto.experiments.report import write

    experiment, runs = store.experiment(), store.runs()
    findings = [FINDINGS[name](runs, store.folder) for name in experiment.findings if name in FINDINGS]
    page = write(store.folder, runs, experiment.name, experiment.summary, findings)
    return page, [sentence for finding in findings for sentence in finding.sentences]


def _summarize(form: Running, counts: dict[str, int], page: Path | None, sentences: list[str]) -> None:
    if form.json:
        print(json.dumps({"output": form.output, "runs": sum(counts.values()), **counts, "report": page and str(page)}))
        return
    told = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    print("\n".join([f"{page or form.output}: {told}", *sentences]))
