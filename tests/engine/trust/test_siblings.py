"""Files that `architecture.py` imports from beside it are shown, approved and run with it, and no others are."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from command_line import Run
from factories import MODEL_CODE, approve, make_model

from engine.bundle.fit_npz import signature
from engine.bundle.model_bundle import read_bundle
from engine.errors import BundleError
from engine.library.add_model import Parts, add_model
from engine.library.changes import add_task
from engine.network import loading
from engine.network.loading import build_network
from engine.trust.inspection import what_deserves_a_look
from engine.trust.permission import review, standing_of, words_about

BLOCKS = "from torch import nn\n\nclass Block(nn.Conv2d):\n    pass\n"
BASE = BLOCKS.replace("Block", "Base")
NET = MODEL_CODE.replace("nn.Conv2d(3, 2, 3)", "Block(3, 2, 3)")


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model whose `architecture.py` imports `blocks.py`; nobody has approved it."""
    monkeypatch.setenv("XAIMED_TASKS", str(tmp_path / "tasks"))
    folder = make_model(tmp_path / "tasks" / "Lungs" / "CNN", code=f"from blocks import Block\n{NET}")
    return write(folder, {"blocks.py": BLOCKS})


@pytest.mark.parametrize(
    ("code", "files", "run"),
    [
        ("from blocks import Block", {"blocks.py": BLOCKS}, ["blocks.py"]),
        ("from .blocks import Block", {"blocks.py": BLOCKS}, ["blocks.py"]),
        ("from . import blocks\nBlock = blocks.Block", {"blocks.py": BLOCKS}, ["blocks.py"]),
        ("import blocks\nBlock = blocks.Block", {"blocks.py": BLOCKS}, ["blocks.py"]),
        ("import blocks as b\nBlock = b.Block", {"blocks.py": BLOCKS}, ["blocks.py"]),
        ("from blocks import *", {"blocks.py": BLOCKS}, ["blocks.py"]),
        (
            "from a import Block",
            {"a.py": "from .b import Block", "b.py": "from c import Block", "c.py": BLOCKS},
            ["a.py", "b.py", "c.py"],
        ),
        (
            "from parts.conv.blocks import Block",  # no __init__.py
            {"parts/conv/blocks.py": "from ..base import Base as Block", "parts/base.py": BASE},
            ["parts/conv/blocks.py", "parts/base.py"],
        ),
        (
            "import parts.blocks\nBlock = parts.blocks.Block",
            {"parts/__init__.py": "from . import blocks", "parts/blocks.py": BLOCKS},
            ["parts/__init__.py", "parts/blocks.py"],
        ),
        (
            "from parts import blocks\nBlock = blocks.Block",
            {"parts/__init__.py": "", "parts/blocks.py": BLOCKS, "parts.py": "raise SystemExit('not this one')"},
            ["parts/__init__.py", "parts/blocks.py"],
        ),
        (
            "WIDTH = 3\nfrom blocks import Block",  # they import one another
            {"blocks.py": f"{BLOCKS}\nfrom architecture import WIDTH\nfrom .architecture import WIDTH as W\nassert W == 3"},  # noqa: E501
            ["blocks.py"],
        ),
    ],
)  # fmt: skip
def test_every_form_of_import_is_followed_and_runs(
    tmp_path: Path, code: str, files: dict[str, str], run: list[str]
) -> None:
    folder = write(make_model(tmp_path / "Lungs" / "CNN", code=f"{code}\n{NET}"), files)
    approve(folder)
    bundle = read_bundle(folder)
    assert bundle.code == ("architecture.py", *run)
    before = list(sys.path)
    assert isinstance(build_network(bundle).conv, torch.nn.Conv2d)
    assert sys.path == before
    tops = {name.partition("/")[0].removesuffix(".py") for name in bundle.code}
    assert not sys.modules.keys() & tops, "no module is left under a name that others may import"
    assert not list(folder.rglob("__pycache__"))


def test_a_class_that_is_only_imported_from_a_sibling_is_the_network(tmp_path: Path) -> None:
    folder = write(make_model(tmp_path / "Lungs" / "CNN", code="from net import Net"), {"net.py": MODEL_CODE})
    approve(folder)
    assert type(build_network(read_bundle(folder))).__name__ == "Net"


def test_a_sibling_that_was_not_approved_does_not_run(model: Path) -> None:
    trace = model.parents[1] / "it-ran"
    write(model, {"blocks.py": f"open({str(trace)!r}, 'w').close()\n{BLOCKS}"})
    with pytest.raises(BundleError, match="not approved on this machine"):
        build_network(read_bundle(model))
    approve(model)
    build_network(read_bundle(model))
    assert trace.exists()


def test_a_sibling_that_is_changed_after_the_approval_does_not_run(model: Path) -> None:
    approve(model)
    bundle = read_bundle(model)
    write(model, {"blocks.py": "raise SystemExit('this must not run')"})
    for now in (bundle, read_bundle(model)):
        with pytest.raises(BundleError, match=r"changed: blocks\.py"):
            build_network(now)
    assert standing_of(read_bundle(model)).state == "changed"


def test_the_bytes_that_run_are_those_that_were_hashed(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    approve(model)
    read = loading.approved_content

    def read_then_swap(bundle: object) -> object:
        content = read(bundle)  # type: ignore[arg-type]
        write(model, {"blocks.py": "raise SystemExit('this must not run')"})
        return content

    monkeypatch.setattr(loading, "approved_content", read_then_swap)
    assert build_network(read_bundle(model)).conv is not None


def test_a_file_in_place_of_another_one_is_noticed_when_the_model_is_read(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.bundle import model_bundle

    snapshot = model_bundle.take_snapshot

    def snapshot_then_swap(*arguments: object) -> object:
        content = snapshot(*arguments)  # type: ignore[arg-type]
        write(model, {"blocks.py": "# something else"})
        return content

    monkeypatch.setattr(model_bundle, "take_snapshot", snapshot_then_swap)
    with pytest.raises(BundleError, match=r"blocks.py: it changed while it was read"):
        read_bundle(model)


def test_two_models_with_siblings_of_one_name_do_not_meet(tmp_path: Path) -> None:
    networks = []
    for at, width in enumerate((1, 2)):
        code = (
            f"import blocks\n{NET.replace('Block', 'blocks.Block')}\n"
            "    def width(self):\n        import late\n        return blocks.W, late.W\n"
        )
        folder = make_model(tmp_path / "Lungs" / f"CNN {at}", code=code)
        write(folder, {"blocks.py": f"{BLOCKS}W = {width}\n", "late.py": f"W = {width}\n"})
        approve(folder)
        networks.append(build_network(read_bundle(folder)))
    assert [network.width() for network in networks] == [(1, 1), (2, 2)]  # type: ignore[operator]
    assert not sys.modules.keys() & {"blocks", "late"}


def test_a_model_that_is_loaded_again_runs_its_siblings_anew(model: Path) -> None:
    write(
        model,
        {
            "blocks.py": f"{BLOCKS}COUNT = []\n",
            "architecture.py": f"from blocks import Block, COUNT\n{NET}\nCOUNT.append(1)\nassert len(COUNT) == 1",
        },
    )
    approve(model)
    for _ in range(2):
        build_network(read_bundle(model))


@pytest.mark.parametrize(
    "code",
    [
        "__import__('hidden')",
        "import importlib; importlib.import_module('hidden')",
        "import importlib; importlib.import_module('.hidden', __package__)",
        "import sys; sys.path.insert(0, __file__.rpartition('/')[0]); __import__('hidden')",
    ],
)
def test_a_file_that_is_imported_by_other_means_does_not_run(model: Path, code: str) -> None:
    write(
        model,
        {
            "hidden.py": "raise SystemExit('this must not run')",
            "architecture.py": f"{code}\nfrom blocks import Block\n{NET}",
        },
    )
    approve(model)
    bundle = read_bundle(model)
    assert bundle.code == ("architecture.py", "blocks.py")
    with pytest.raises(BundleError, match="hidden"):
        build_network(bundle)


@pytest.mark.parametrize("name", ["torch", "random", "timm", "numpy"])
def test_a_sibling_with_the_name_of_a_library_is_refused_if_it_is_imported(model: Path, name: str) -> None:
    write(model, {f"{name}.py": "raise SystemExit('this must not run')"})
    if name != "torch":  # it is imported anyway
        read_bundle(model)
        write(model, {"blocks.py": f"import {name}\n{BLOCKS}"})
    with pytest.raises(BundleError, match=rf"imports {name}, which is a library, and this has the same name; give it"):
        read_bundle(model)


def test_any_other_name_means_the_sibling_in_the_models_own_code_only(model: Path) -> None:
    import pluggy

    write(model, {"pluggy.py": "HERE = True\n", "blocks.py": f"import pluggy\nassert pluggy.HERE\n{BLOCKS}"})
    approve(model)
    build_network(read_bundle(model))
    assert sys.modules["pluggy"] is pluggy
    assert not hasattr(pluggy, "HERE")


def test_links_among_siblings_lead_nowhere_else(model: Path, tmp_path: Path) -> None:
    (model / "blocks.py").rename(model / "real.py")
    (model / "blocks.py").symlink_to("real.py")
    approve(model)
    assert build_network(read_bundle(model)).conv is not None
    (model / "blocks.py").unlink()
    (tmp_path / "elsewhere.py").write_text(BLOCKS)
    (model / "blocks.py").symlink_to(tmp_path / "elsewhere.py")
    with pytest.raises(BundleError, match="a link in a model folder must lead to a file in the same folder"):
        read_bundle(model)


def test_a_sibling_that_is_missing_is_named(model: Path) -> None:
    (model / "blocks.py").unlink()
    approve(model)
    with pytest.raises(BundleError, match=r"imports blocks, which is neither beside it nor installed; put blocks.py"):
        build_network(read_bundle(model))
    write(model, {"blocks.py": "from .more import x\n"})
    approve(model)
    with pytest.raises(BundleError, match=r"imports more, which is neither beside it nor installed; put more.py"):
        build_network(read_bundle(model))


@pytest.mark.parametrize(
    ("text", "said"),
    [("x = (", r"blocks\.py: it is not valid Python"), ("# coding: latin-1", r"blocks\.py: it declares the encoding")],
)
def test_a_sibling_that_is_not_python_is_named(model: Path, text: str, said: str) -> None:
    write(model, {"blocks.py": text})
    with pytest.raises(BundleError, match=said):
        read_bundle(model)


def test_a_sibling_that_is_too_large_and_too_many_of_them_are_refused(model: Path) -> None:
    write(model, {"blocks.py": "#" * 1_000_001})
    with pytest.raises(BundleError, match=r"blocks.py: the file has 1,000,001 bytes"):
        read_bundle(model)
    write(model, {"blocks.py": "\n".join(f"import b{i}" for i in range(201)), **{f"b{i}.py": "" for i in range(201)}})
    with pytest.raises(BundleError, match="imports more than 200 files beside it"):
        read_bundle(model)


def test_a_fit_does_not_outlive_a_change_of_a_sibling(model: Path) -> None:
    before = signature(read_bundle(model))
    write(model, {"blocks.py": f"{BLOCKS}# changed"})
    assert signature(read_bundle(model)) != before


# What is shown


def test_all_files_that_run_are_shown_with_what_deserves_a_look_in_each(xaimed: Run, model: Path) -> None:
    write(model, {"blocks.py": f"import os\n{BLOCKS}", "train.py": "import subprocess\n"})
    seen = review(model)
    assert list(seen.code) == ["architecture.py", "blocks.py"]
    assert [(found.file, found.line) for found in seen.findings] == [("blocks.py", 1)]
    said = words_about(seen)
    assert said[:2] == (
        "In its code, this can reach files, programs, the network or other code:",
        "  blocks.py, line 1: imports os: files, processes, the environment",
    )
    assert "These files run, and no others: architecture.py, blocks.py." in said
    status, out, _ = xaimed("trust", "Lungs/CNN", "--yes")
    assert status == 0
    lines = out.splitlines()
    assert (
        lines.index("architecture.py") < lines.index("blocks.py") < lines.index("! 1  import os") < lines.index(said[0])
    )
    assert "train.py" not in lines


@pytest.mark.parametrize(
    ("code", "blocks", "said"),
    [
        ("from blocks import os", "x = 1", "imports os from a file beside it: files"),
        ("import blocks\nblocks.os.system('x')", "x = 1", ".os: files, processes"),
        ("from blocks import t\nt.hub.load('x')", "import torch as t", "torch.hub: downloads"),
        ("from blocks import *\nt.hub.load('x')", "from b import *", "torch.hub: downloads"),
        ("from .blocks import t\nf(t)", "import torch as t", "t: a whole module, handed on"),
        ("from .missing import x", "x = 1", "imports a file beside it that is not there"),
        ("import missing", "x = 1", "imports missing: code that this list does not cover"),
        ("from blocks import x", "eval('x')", "eval: runs text as code"),
    ],
)
def test_nothing_is_hidden_by_passing_it_from_file_to_file(code: str, blocks: str, said: str) -> None:
    files = {"architecture.py": code, "blocks.py": blocks, "b.py": "import torch as t"}
    assert any(found.what.startswith(said) for found in what_deserves_a_look(files))


def test_what_the_files_define_themselves_is_no_surprise() -> None:
    files = {
        "architecture.py": "from blocks import *\nimport parts.more\nfrom .blocks import load\n\nclass Net(Block):\n"
        "    def forward(self, x):\n        return load(self.fuse_all(parts.more.halved(x)))\n",
        "blocks.py": f"{BLOCKS}    def fuse_all(self, x):\n        return x\n\ndef load(x):\n    return x\n",
        "parts/more.py": "def halved(x):\n    return x / 2\n",
    }
    assert what_deserves_a_look(files) == ()


# Adding and converting


def test_a_model_is_added_with_the_files_that_its_code_imports(model: Path, tmp_path: Path) -> None:
    source = write(
        tmp_path / "source",
        {
            "net.py": f"from parts.blocks import Block\n{NET}",
            "parts/blocks.py": BLOCKS,
            "unrelated.py": "raise SystemExit",
        },
    )
    add_task([tmp_path / "tasks"], "Skin", "")
    bundle = add_model([tmp_path / "tasks"], "Skin", "CNN", Parts(model / "weights.pt", source / "net.py"))
    assert bundle.code == ("architecture.py", "parts/blocks.py")
    assert not (bundle.path / "unrelated.py").exists()
    approve(bundle.path)
    assert build_network(bundle).conv is not None


def test_a_checkpoint_is_imported_with_the_files_that_its_code_imports(
    xaimed: Run, model: Path, tmp_path: Path
) -> None:
    write(tmp_path / "source", {"net.py": f"from parts.blocks import Block\n{NET}", "parts/blocks.py": BLOCKS})
    command = ("models", "import", model / "weights.pt", "--task", "Skin", "--name", "CNN", "--yes")
    status, out, err = xaimed(*command, "--architecture", tmp_path / "source" / "net.py", "--input-size", "32,32")
    assert status == 0, err
    assert read_bundle(tmp_path / "tasks" / "Skin" / "CNN").code == ("architecture.py", "parts/blocks.py")
    assert "parts/blocks.py" in out + err
    write(tmp_path / "source", {"parts/blocks.py": "x = ("})
    status, _, err = xaimed(*command[:-2], "Other", "--yes", "--architecture", tmp_path / "source" / "net.py")
    assert status == 1
    assert f"{tmp_path / 'source' / 'parts' / 'blocks.py'}: it is not valid Python" in err


def test_a_pickle_is_converted_with_a_class_from_files_beside_each_other(tmp_path: Path) -> None:
    from engine.authoring.convert import read_trusting

    source = write(tmp_path, {"net.py": f"from blocks import Block\n{NET}", "blocks.py": BLOCKS})
    made = {"__name__": "net"}
    exec(compile(f"{BLOCKS}{NET}", "net.py", "exec"), made)
    network = made["Net"]()  # type: ignore[operator]
    for kind in (made["Net"], made["Block"]):
        kind.__module__ = "net"  # type: ignore[attr-defined]
    sys.modules["net"] = type(sys)("net")
    sys.modules["net"].__dict__.update(made)
    try:
        torch.save(network, tmp_path / "pickle.pt")
    finally:
        del sys.modules["net"]
    converted = read_trusting(tmp_path / "pickle.pt", source / "net.py")
    assert set(converted.tensors) == {"conv.weight", "conv.bias"}
