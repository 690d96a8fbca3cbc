"""What a configuration makes, what each result is made from, and whether it is current.

The rules, ``snakemake status`` and the tests all use it, so there is one answer to what is stale.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from rethinking import registry
from rethinking.cells import CELL_FILES, Cell, parameters, sample_size
from rethinking.config.checks import input_fault
from rethinking.config.configuration import Config
from rethinking.data.imagenet_classes import classes_of
from rethinking.data.published import published
from rethinking.run.code import READS_IMAGES, Root, script_code
from rethinking.run.contents import content_digest
from rethinking.run.digests import digest_of
from rethinking.run.files import UserError
from rethinking.run.identity import Identity, converted
from rethinking.run.made import Made, Source, own

ARRAYS = ("train_images.npy", "train_labels.npy", "test_images.npy", "test_labels.npy")
NAMES = ("train_names.npy", "test_names.npy")


class Plan:
    """Everything that a configuration can make. Each result is constructed once, because many others depend on it.

    Args:
        config: the checked configuration.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.results, self.data_dir = config.results_dir, config.data_folder
        self.tokens = f"{self.results}/.data"
        self.made: list[Made] = []

    def make(
        self,
        script: str,
        outputs: Iterable[str],
        settings: Mapping[str, Any],
        *,
        inputs: Mapping[str, Made | str] | None = None,
        entries: Iterable[Root] = (),
        needs: Sequence[Made] = (),
        data: Sequence[Made | Source] = (),
    ) -> Made:
        """A result with its identity; ``needs`` count as inputs."""
        entries = tuple(entries)
        named = dict(inputs or {})
        if needs:
            named["results"] = digest_of([each.identity.digest for each in needs])
        identities = converted(named, lambda made: made.identity)
        identity = Identity(settings, code(script, entries), identities)
        self.made.append(Made(script, list(outputs), identity, named, entries, needs, data))
        return self.made[-1]

    # ---- data

    def in_data_folder(self, made: Made, stem: str, files: Iterable[str]) -> Made:
        """A result in the data folder, in a subfolder that is named after its identity."""
        folder = f"{stem}/{made.identity.digest}"
        made.outputs = [f"{self.data_dir}/{folder}/{file}" for file in files]
        made.token, made.shared = f"{self.tokens}/{folder}", self.data_dir
        return made

    @cache
    def prepared(self, name: str) -> Made:
        """A prepared data set. Its folder is named after its identity, so that checkouts can share it.

        Equal images in archives and folders have one identity.

        Raises:
            UserError: the configuration has no such data set, or it cannot be read.
        """
        if name not in self.config.datasets:
            raise UserError(f"the configuration has no datasets.{name}; add it")
        dataset = self.config.datasets[name]
        if dataset.absent:
            raise UserError(
                f"datasets.{name} has no path; give the folder of its archives, or one with train/ and val/"
            )
        # What a copy is called is no part of it, nor is what happens to images that cannot be decoded: they never count.
        chosen = dataset.model_dump(include={"train_limit", "test_limit", "stored_size"})
        script, files = "prepare_dataset", ("manifest.json", *ARRAYS)
        if dataset.source == "local":
            script, files = "prepare_images", (*files, *NAMES)
            chosen["classes"] = classes_of(name, dataset.classes)
        else:
            is_published = dataset.source in ("official", "archive")
            chosen["source"] = "published" if is_published else dataset.source
        data, digest = self.source(name)
        made = self.make(
            script,
            [],
            {f"datasets.{name}.{key}": value for key, value in chosen.items()},
            inputs={"source": digest} if digest else {},
            entries=[registry.entry("dataset", name).root],
            data=data,
        )
        if dataset.path:
            made.source = self.own_source(name)
        return self.in_data_folder(made, f"prepared/{name}", files)

    def own_source(self, name: str) -> list[Any]:
        """What :func:`content_digest` is given for a data set that is read from files of the user."""
        dataset = self.config.datasets[name]
        limits, classes = [dataset.train_limit, dataset.test_limit], classes_of(name, dataset.classes)
        return [name, dataset.source, dataset.path, str(self.checksums), classes, limits, dataset.provenance]

    def source(self, name: str) -> tuple[list[Source], str | None]:
        """What a data set is read from, and a digest of its contents; nothing where a package or a plug-in has it."""
        dataset = self.config.datasets[name]
        if dataset.source == "official":
            downloads = published(name).downloads
            stems = [f"downloads/{name}/{file.name}" for file in downloads]
            digests = [file.digest for file in downloads]
            files = [
                Source(f"{self.data_dir}/{stem}", [f"{self.tokens}/{stem}"], digest=digest, cache=self.checksums)
                for stem, digest in zip(stems, digests, strict=True)
            ]
            # The same file given as a local copy has the same digest.
            return files, digests[0] if len(digests) == 1 else digest_of(digests)
        if not dataset.path:
            return [], None
        return [own(dataset.path)], content_digest(*self.own_source(name))

    def downloaded(self, name: str) -> str:
        """What a downloaded data set is read from: its archive, or the folder of its files, also of a single one."""
        files, _ = self.source(name)
        first = Path(files[0].path)
        is_archive = len(files) == 1 and not published(name).file_of(first.name)
        return str(first if is_archive else first.parent)

    @property
    def checksums(self) -> Path:
        """The file that keeps checksums of the user's files by their sizes and times."""
        return Path(self.results, ".identity", "sources.json")

    @cache
    def sample(self, name: str, n: int) -> Made:
        """A problem of two classes on n of the training images, stored like a prepared data set."""
        whole = self.prepared(name)
        made = self.make("draw_sample", [], {"images": n}, inputs={"data": whole}, data=[whole])
        return self.in_data_folder(made, f"samples/{name}/n{n}", ("manifest.json", *ARRAYS))

    @cache
    def overlay(self, name: str, corruption: str, seed: int) -> Made:
        """What a corruption changes of a data set."""
        n = sample_size(corruption)
        whole = self.prepared(name) if n is None else self.sample(name, n)
        entry = registry.entry("corruption", corruption)
        dataset = self.config.datasets[name]
        pixels = n is not None or "images" in entry.arguments or any("images" in file for file in entry.files)
        if pixels and dataset.source == "local" and dataset.stored_size is None:
            raise UserError(
                f"{corruption} needs stored pixels, which {name} does not have; set datasets.{name}.stored_size"
            )
        settings = {"dataset": name, "corruption": corruption, "seed": seed, **parameters(corruption)}
        if entry.bounds and "rng" in entry.arguments:
            settings["rng"] = entry.name  # names its stream; bounds are a part of it
        entries = [entry.root]
        if base := entry.options.get("base"):
            settings["base"] = {base: parameters(base)}
            entries.append(registry.entry("corruption", base).root)
        made = self.make(
            "corrupt_dataset",
            [],
            settings,
            inputs={"data": whole},
            entries=entries,
            data=[whole],
        )
        return self.in_data_folder(made, f"corrupted/{name}/{corruption}/seed{seed}", entry.files)

    # ---- networks

    @cache
    def settings(self, cell: Cell, variant: str | None) -> dict[str, Any]:
        """What a network or variant is trained with. All its seeds have the same settings, and can be thousands.

        Raises:
            UserError: it cannot be trained.
        """
        settings = self.config.settings(cell, variant)
        if fault := input_fault(self.config, cell, settings):
            raise UserError(f"cell '{cell.name}': {fault}")
        return settings.model_dump()

    @cache
    def cell(self, cell: Cell, variant: str | None = None) -> Made:
        """A trained network, or a variant of it for an ablation.

        Raises:
            UserError: it cannot be trained.
        """
        overlay = self.overlay(cell.dataset, cell.corruption, cell.seed)
        folder = f"{self.results}/{branch(variant)}cells/{cell}"
        return self.make(
            "train_cell",
            [f"{folder}/{file}" for file in CELL_FILES],
            {"cell": str(cell), **self.settings(replace(cell, seed=0), variant)},
            inputs={"data": overlay},
            entries=self.cell_entries(cell),
            data=[*overlay.data, overlay],
        )

    def cell_entries(self, cell: Cell) -> list[Root]:
        """The code of a cell that not all have: of its network, the regularisers of plug-ins and images in files."""
        regularisers = [registry.entry("regulariser", name) for name in cell.regularisers]
        reader = READS_IMAGES if self.config.datasets[cell.dataset].source == "local" else ()
        return [registry.entry("model", cell.model).root, *(each.root for each in regularisers if each.own), *reader]

    @cache
    def complexity(self, cell: Cell) -> Made:
        """Measures of complexity of a trained network."""
        trained = self.cell(cell)
        measures = registry.entries("measure")
        settings = self.config.complexity.model_dump(include={"images", "draws"})
        if own := [each.name for each in measures if each.own]:
            settings["measures"] = own  # which of their numbers is which
        return self.make(
            "measure_complexity",
            [f"{trained.folder}/complexity.json"],
            settings,
            entries=[*trained.entries, *(measure.root for measure in measures)],
            needs=[trained],
            data=trained.data,
        )

    @cache
    def stability(self, cell: Cell) -> Made:
        """How far the losses of a network move when one example is replaced."""
        after, before = self.cell(cell), self.cell(cell.base)
        return self.make(
            "measure_stability",
            [f"{after.folder}/stability.json"],
            {},
            entries=after.entries,
            needs=[before, after],
            data=[*before.data, *after.data],
        )

    def cells(self, cells: Iterable[Cell]) -> list[Made]:
        """Trained networks."""
        return [self.cell(cell) for cell in cells]

    # ---- theory

    @cache
    def expressivity(self, seed: int) -> Made:
        """Theorem 1 on a data set."""
        settings = self.config.expressivity.model_dump()
        return self.theory("fit_expressivity", [f"expressivity/seed{seed}.json"], settings, seed)

    @cache
    def descent(self, seed: int) -> Made:
        """SGD on a linear model."""
        settings = self.config.linear_models.descent.model_dump()
        files = [f"descent/seed{seed}/summary.json", f"descent/seed{seed}/curve.csv"]
        return self.theory("run_descent", files, settings, seed)

    @cache
    def validation(self, name: str) -> Made:
        """The errors of a linear model over gamma and penalty."""
        settings = self.config.linear_models.validation.model_dump() | self.linear_model(name)
        files = [f"linear_models/{name}/validation.csv"]
        return self.theory("validate_linear_model", files, settings, self.config.seeds[0])

    @cache
    def fit(self, name: str, seed: int) -> Made:
        """An exact fit of a linear model."""
        settings = self.config.linear_models.solver.model_dump() | self.linear_model(name)
        folder = f"linear_models/{name}/seed{seed}"
        files = [f"{folder}/summary.json", f"{folder}/outputs.npz"]
        return self.theory("fit_linear_model", files, settings, seed, self.validations(name))

    @cache
    def comparison(self, name: str, seed: int) -> Made:
        """Exact fits other than the one of minimum norm."""
        settings = self.config.linear_models.counterexamples.model_dump(exclude={"models"})
        settings |= self.linear_model(name)
        files = [f"linear_models/{name}/counterexamples_seed{seed}.json"]
        return self.theory("compare_fits", files, settings, seed, self.validations(name))

    def linear_model(self, name: str) -> dict[str, Any]:
        """A linear model as a setting. Its list of seeds does not affect the numbers of a single seed."""
        return {"model": self.config.linear_models.model(name).model_dump(exclude={"seeds", "name"})}

    def validations(self, name: str) -> list[Made]:
        """What gamma or penalty of a linear model come from, if the configuration does not give them."""
        return [self.validation(name)] if self.config.linear_models.model(name).validated else []

    def measures_and_fits(self) -> dict[str, list[Made]]:
        """What tables, figures and claims show beside networks, by the method above that gives each."""
        config, linear = self.config, self.config.linear_models
        models = [model.name for model in linear.models]
        return {
            "complexity": [self.complexity(cell) for cell in config.cells("complexity")],
            "stability": [self.stability(cell) for cell in config.cells("capacity") if cell.base != cell],
            "expressivity": [self.expressivity(seed) for seed in config.seeds if config.expressivity.dataset],
            "validation": [self.validation(name) for name in models],
            "fit": [self.fit(name, seed) for name in models for seed in config.linear_model_seeds(name)],
            "comparison": [
                self.comparison(name, seed) for name in linear.counterexamples.models for seed in config.seeds
            ],
            "descent": [self.descent(seed) for seed in config.seeds if linear.descent.dataset],
        }

    def theory(
        self,
        script: str,
        files: Sequence[str],
        settings: Mapping[str, Any],
        seed: int,
        needs: Sequence[Made] = (),
    ) -> Made:
        """A result of the theory on one data set, that of its linear model or of its section."""
        dataset = settings.get("model", settings)["dataset"]
        if dataset is None:
            raise UserError(f"{files[0]} has no data set: 'dataset' is null in its section of the config; name one")
        prepared = self.prepared(dataset)
        return self.make(
            script,
            [f"{self.results}/{file}" for file in files],
            {"seed": seed, **settings},
            inputs={"data": prepared},
            needs=needs,
            data=[prepared],
        )


def branch(variant: str | None) -> str:
    """Where variants of cells lie."""
    return f"ablations/{variant}/" if variant else ""


def checkpoint_file(results: str, branch: str, cell: object) -> str:
    """The checkpoint of a cell; not among its outputs, because it must outlive a job that fails."""
    return f"{results}/checkpoints/{branch}{cell}.safetensors"


@cache
def code(script: str, entries: tuple[Root, ...]) -> dict[str, str]:
    """The code behind a script's numbers, looked up once."""
    return script_code(script, entries)
