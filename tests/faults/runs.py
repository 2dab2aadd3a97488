"""The texts of a run: the recipe it is given, and what it leaves at its URL for a resumed run and for the report."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Self

from faults.subject import DONE_WITHOUT, HARMLESS, LEFT_OUT, RECORDED, REFUSED, SHOWN, TAKEN, Change, Forgeries, Subject
from support.made_up_run import RECIPE, metrics, write_run
from support.small_recipe import BASE

from hdna.config import RunConfig, dump_recipe, load_recipe
from hdna.config.recipe import parse_recipe
from hdna.report.history import History, read_history
from hdna.report.page import write_report
from hdna.run import lease
from hdna.run.best_effort import BestEffort
from hdna.run.files import BASELINES, ENVIRONMENT, STATE, TRACKED_AS, read_json, read_metrics, write_json
from hdna.run.lease import Lease, last_lease
from hdna.run.metrics import Metrics
from hdna.run.ownership import claim, refuse_taken
from hdna.run.step_record import StepRecord
from hdna.run.tracking import identity

TAG = "<script>alert(1)</script>"
RESUMED_STEP = 5


class GivenRecipe(Subject):
    """A recipe that a user gives to `hdna train`, which claims the run's URL for it."""

    row = "recipe given to a command"
    flips = 40

    def make(self) -> None:
        self.recipe.write_text(f"# A recipe of the tests.\n{BASE}")
        self.sound = self.load()

    @property
    def recipe(self) -> Path:
        """The file."""
        return self.root / "mine.yaml"

    def load(self) -> RunConfig:
        """As the command loads it, with a place for the run."""
        return load_recipe(str(self.recipe), [f"run.url={self.root}/run"])

    def files(self) -> list[Path]:
        return [self.recipe]

    def read(self) -> str:
        config = self.load()
        claim(config)
        assert parse_recipe((self.root / "run" / "recipe.yaml").read_text(), "run") == config
        return HARMLESS if config == self.sound else RECORDED

    def forgeries(self) -> Forgeries:
        def with_url(value: str) -> Change:
            return partial(self.recipe.write_text, BASE.replace("work/shards", value))

        command = f"!!python/object/apply:os.system ['touch {self.root}/touched']"
        return {
            REFUSED: {
                "a command": with_url(command),
                "a tag": with_url("!!str 1"),
                "an alias": with_url("&a x, *a"),
                "a variable": with_url("${oc.env:HOME}"),
                "a password": with_url("s3://user:secret@bucket/key"),
            },
            RECORDED: {"other data": with_url("work/others")},
        }


class InRun(Subject):
    """The files of a finished run, whose recipe, metrics and facts are all small."""

    def make(self) -> None:
        self.config = parse_recipe(RECIPE, "recipe", [f"run.url={self.home}"])
        write_run(self.home, metrics())
        shutil.rmtree(self.home / "checkpoints")
        (self.home / "recipe.yaml").write_text(dump_recipe(parse_recipe(RECIPE, "recipe")))
        for name in (STATE, BASELINES, ENVIRONMENT):
            write_json(str(self.home), name, read_json(str(self.home), name))
        self.sound = read_history(str(self.home))

    @property
    def home(self) -> Path:
        return self.root / "run"

    def place(self, path: Path) -> str:
        return str(self.home)

    def shown(self) -> str:
        """What becomes of another content; a page takes long, and is only looked at for tags."""
        if any(TAG in path.read_text(errors="replace") for path in self.files()):
            assert TAG not in Path(write_report(str(self.home), str(self.root / "page"))).read_text()
        return SHOWN


class RunRecipe(InRun):
    """The recipe of a run that is resumed; the report shows what is there."""

    row = "run: `recipe.yaml`"
    flips = 40

    def files(self) -> list[Path]:
        return [self.home / "recipe.yaml"]

    def read(self) -> str:
        (path,) = self.files()
        text = path.read_text(errors="replace") if path.exists() else ""
        assert read_history(str(self.home)).recipe == text
        refuse_taken(self.config)
        claim(self.config)
        assert path.read_text() == dump_recipe(self.config)
        return HARMLESS

    def forgeries(self) -> Forgeries:
        def with_other(section: str, **fields: object) -> Change:
            changed = replace(self.config, **{section: replace(getattr(self.config, section), **fields)})
            return partial((self.home / "recipe.yaml").write_text, dump_recipe(changed))

        return {
            REFUSED: {
                "another model": with_other("model", d_model=32),
                "another seed, by force": with_other("run", seed=2, resume="force"),
            },
            HARMLESS: {"other data": with_other("data", shards=["elsewhere"])},
        }


class RunMetrics(InRun):
    """The metrics of a run, as the report shows them; a run that is resumed keeps the lines up to its checkpoint."""

    row = "run: `metrics.jsonl`"

    def files(self) -> list[Path]:
        return [self.home / "metrics.jsonl"]

    def read(self) -> str:
        records = read_metrics(str(self.home))
        assert self.resumed() == [record for record in records if record.step <= RESUMED_STEP]
        steps = read_history(str(self.home)).steps
        if steps == self.sound.steps:
            return HARMLESS
        if len(records) < len(self.sound.steps):
            assert all(record in self.sound.steps for record in records)
            return LEFT_OUT
        return self.shown()

    def resumed(self) -> list[StepRecord]:
        """The records with which a copy of the run is resumed; its file has nothing else."""
        run = self.root.parent / "resumed"
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(self.home, run)
        Metrics(str(run), RESUMED_STEP, BestEffort(print)).close()
        records = read_metrics(str(run))
        assert len((run / "metrics.jsonl").read_bytes().splitlines()) == len(records)
        return records

    def forgeries(self) -> Forgeries:
        odd = {"loss": TAG, "bits_per_base": 1e308, "memory_gib": -1e308, "grad_norm": True, TAG: [TAG]}
        lines = [*metrics(), metrics()[0] | odd, metrics()[0] | odd | {"step": 2**63 - 1}]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        return {SHOWN: {"odd numbers": partial(self.files()[0].write_text, text)}}


class RunLease(InRun):
    """The lease of a run that nobody trains any more, as the next driver finds it."""

    row = "run: `lease/NNNNNN.json`"
    flips = 12

    @classmethod
    @contextmanager
    def made(cls, folder: Path) -> Iterator[Self]:
        """With less patience than drivers have."""
        patience = lease.LEASE_S
        lease.LEASE_S = 0.01
        yield cls(folder)
        lease.LEASE_S = patience

    def make(self) -> None:
        super().make()
        with Lease(str(self.home), 6).renewed(BestEffort(print)):
            pass

    def files(self) -> list[Path]:
        return [self.home / "lease" / "000007.json"]

    def read(self) -> str:
        url = str(self.home)
        number = last_lease(url, lambda event: None)
        assert number == (7 if self.files()[0].exists() else 0)
        Lease(url, number).fence.check()
        shutil.rmtree(self.home / "lease")
        return HARMLESS

    def forgeries(self) -> Forgeries:
        (path,) = self.files()
        record = json.loads(path.read_bytes())
        living = {**record["holder"], "pid": os.getppid()}
        return {
            HARMLESS: {
                "a process elsewhere": partial(path.write_text, json.dumps(record | {"released": False})),
                "a living process": partial(path.write_text, json.dumps(record | {"holder": living})),
            }
        }


class RunFacts(InRun):
    """What the report shows beside the metrics."""

    row = "run: `state.json`, `baselines.json`, `environment.json`"
    flips = 30

    def files(self) -> list[Path]:
        return [self.home / name for name in (STATE, BASELINES, ENVIRONMENT)]

    def read(self) -> str:
        found = facts(read_history(str(self.home)))
        changed = [fact for fact, sound in zip(found, facts(self.sound), strict=True) if fact != sound]
        if not changed:
            return HARMLESS
        return DONE_WITHOUT if changed[0] in ("unknown", {}) else self.shown()

    def forgeries(self) -> Forgeries:
        state, baselines, environment = self.files()

        def write_tags() -> None:
            state.write_text(json.dumps({"status": TAG, "pid": TAG}))
            baselines.write_text(json.dumps({TAG: 1, "entropy": 1e308, "markov": TAG}))
            environment.write_text(json.dumps({TAG: [TAG]}))

        return {
            SHOWN: {"tags for texts, and odd numbers": write_tags},
        }


class RunTrackedAs(InRun):
    """A run's id in trackers, as a resumed run reads it, or draws another."""

    row = "run: `tracked_as.json`"
    known = "0123456789abcdef"

    def make(self) -> None:
        super().make()
        write_json(str(self.home), TRACKED_AS, {"id": self.known})

    def files(self) -> list[Path]:
        return [self.home / TRACKED_AS]

    def read(self) -> str:
        (path,) = self.files()
        before = path.read_bytes() if path.exists() else b""
        found = identity(str(self.home))
        if found == self.known:
            return HARMLESS
        return TAKEN if found.encode() in before else DONE_WITHOUT

    def forgeries(self) -> Forgeries:
        def with_id(value: str) -> Change:
            return partial(write_json, str(self.home), TRACKED_AS, {"id": value})

        return {
            TAKEN: {"another run's": with_id("f" * 16)},
            DONE_WITHOUT: {"a part of a query": with_id("' or tags.a != '"), "a path": with_id("../../0123456789")},
        }


def facts(history: History) -> list[object]:
    """What the report takes from the three files."""
    return [history.status, history.baselines, history.environment]
