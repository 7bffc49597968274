"""What the list before an approval names in a model's code, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.storage.places import bundled_tasks
from engine.trust.inspection import Finding, Gravity, grouped, lines_of, what_deserves_a_look

ORDINARY = '''"""A network."""
from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torchvision import models

INPUT_SIZE = (50, 50)
MEAN, STD = [0.5] * 3, [1 / 255, 0.1, -0.2]
NORMS = {"batch": nn.BatchNorm2d, "none": nn.Identity}
Block = Callable[[int], nn.Module]
act = lambda x: F.relu(x)


@dataclass(frozen=True)
class Options:
    width: int = 3
    names: tuple[str, ...] = ()


class Net(nn.Module):
    expansion = 4

    def __init__(self, options: Options | None = None, rate=0.5):
        super(Net, self).__init__()
        self.body = models.resnet18(weights=None, num_classes=2)
        self.layers = nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 2, 3)))
        nn.init.kaiming_normal_(self.layers[0].weight, a=math.sqrt(5))
        if getattr(self, "bias", None) is not None:
            print(self.__class__.__name__)

    @torch.no_grad()
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.eval()
        return self.body(x) + float(np.pi)


def build_model() -> nn.Module:
    return Net()
'''


COMMON = '''"""Also a network."""
import copy
import warnings
from dataclasses import dataclass, field

import torch
from torch import nn
from torchvision import models

__all__ = ["Net"]


@dataclass
class Options:
    widths: list[int] = field(default_factory=list)


class Net(nn.Module):
    def __init__(self, block: type[nn.Module], options: Options) -> None:
        super().__init__()
        if not options.widths:
            warnings.warn("no widths", FutureWarning)
        self.first, self.second = block(), copy.deepcopy(models.resnet18(None))
        self.second.fc = nn.Identity()
        setattr(self, "third", type(self.first)())
'''


def test_what_is_common_is_at_most_a_note() -> None:
    assert [finding for finding in what_deserves_a_look(COMMON) if finding.gravity < Gravity.NOTE] == []


def look(code: str) -> list[str]:
    return [finding.what for finding in what_deserves_a_look(code)]


def test_an_ordinary_network_does_not_stand_out_but_for_a_reach_behind_an_object() -> None:
    assert what_deserves_a_look(ORDINARY) == (Finding(37, ".__class__: reaches behind an object"),)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import os", "imports os: files, processes"),
        ("import os.path as p", "imports os.path"),
        ("def f():\n    import subprocess", "imports subprocess: starts programs"),
        ("from socket import socket", "imports socket: the network"),
        ("import timm", "imports timm"),
        ("from . import helper", "imports a file beside it that is not there"),
        ("from math import *", "everything from math"),
        ("import torch.hub", "imports torch.hub: downloads code"),
        ("from torch.utils import cpp_extension", "imports cpp_extension from torch.utils"),
        ("from torch.utils.data._utils import os", "imports os from"),
        ("def f(): exec('x')", "exec: runs text as code"),
        ("def f(): return eval('x')", "eval"),
        ("def f(): g = eval", "eval"),
        ("def f(): compile('x', '', 'exec')", "compile"),
        ("def f(): __import__('os')", "__import__"),
        ("def f(): open('x')", "open: opens a file"),
        ("def f(): __builtins__['eval']", "__builtins__"),
        ("def f(): globals()['x']()", "globals"),
        ("def f(x, name): getattr(x, name)()", "getattr with a name that it works out"),
        ("def f(x): getattr(x, 'sys' + 'tem')()", "getattr with a name that it works out"),
        ("def f(x): getattr(x, '__globals__')", "getattr of __globals__"),
        ("def f(x): getattr(x, 'system')('ls')", "getattr of system: starts programs"),
        ("def f(): g = getattr", "getattr under another name"),
        ("def f(): return ().__class__.__bases__[0].__subclasses__()", ".__subclasses__: reaches behind"),
        ("import torch\ndef f(): torch.serialization.os.system('ls')", ".os: files, processes"),
        ("import torch\ndef f(): torch.hub.load('a', 'b')", ".hub: downloads code"),
        ("import torch\ndef f(): torch.load('x')", ".load: reads a file"),
        ("import numpy\ndef f(): numpy.memmap('x')", ".memmap"),
        ("from torchvision import models\ndef f(): models.resnet18(pretrained=True)", "pretrained=: may download"),
        ("def f(): models.resnet18(weights='DEFAULT')", "weights=: may download"),
        ("def f(): return __file__", "__file__"),
        ("print('x')", "runs on loading"),
        ("X = f()", "runs on loading"),
        ("X = [f(i) for i in (1, 2)]", "runs on loading"),
        ("a.b = 1", "runs on loading"),
        ("for i in (1, 2): pass", "runs on loading"),
        ("try:\n    pass\nexcept ValueError:\n    pass", "runs on loading"),
        ("class A:\n    x = f()", "runs on loading in the class A"),
        ("class A:\n    class B:\n        f()", "runs on loading in the class B"),
        ("class A(f()):\n    pass", "runs on loading: what A is made from"),
        ("class A(metaclass=M):\n    pass", "the metaclass of A"),
        ("def f(x=g()):\n    pass", "runs on loading: a default or annotation of f"),
        ("def f(x: g()):\n    pass", "runs on loading: a default or annotation of f"),
        ("f = lambda x=g(): x", "runs on loading"),
        ("@g\ndef f():\n    pass", "runs on loading: the decorator of f"),
        ("if __name__ == '__main__':\n    f()", "for running the file by itself"),
        ("if __name__ != '__main__':\n    f()", "runs on loading"),
        ("if __name__ == '__main__':\n    pass\nelse:\n    f()", "runs on loading"),
        ("x = 1" + " " * 200 + "; y = 2", "the line has 212 characters"),
        ("x = 1  # \u202e", "characters that cannot be seen"),
        ("x = 1\x0c", "characters that cannot be seen"),
    ],
)
def test_what_deserves_a_look_is_named(code: str, said: str) -> None:
    assert any(said in what for what in look(code)), look(code)


def test_the_lines_are_those_of_the_code_as_python_counts_them() -> None:
    code = "x = 1\r\ny = 2\rz = '\x0c\x1c\u2028'\nimport os\n"
    assert lines_of(code) == ["x = 1", "y = 2", "z = '\x0c\x1c\u2028'", "import os"]
    assert Finding(4, "imports os: files, processes, the environment") in what_deserves_a_look(code)


def test_a_flood_of_harmless_findings_hides_nothing() -> None:
    code = "f()\n" * 1000 + "import torch\nx.odd1.odd2\ntorch.serialization.os.system('ls')\n"
    what = [what for what, _ in grouped(what_deserves_a_look(code))]
    assert what[:3] == [
        ".os: files, processes, the environment",
        ".system: starts programs",
        "torch.serialization: reads files, which may run code",
    ]
    assert ".odd1: not known from networks" in what
    assert ("runs on loading", tuple(range(1, 1001))) == grouped(what_deserves_a_look("f()\n" * 1000))[-1]


def test_what_is_grave_is_never_cut_off() -> None:
    code = "".join(f"x.a{i}.system('{i}')\n" for i in range(3000))
    found = what_deserves_a_look(code)
    assert sum(finding.gravity is Gravity.GRAVE for finding in found) == 3000
    assert {finding.line for finding in found} == set(range(1, 3001)), "every line is marked"
    assert [finding.gravity for finding in found] == sorted(finding.gravity for finding in found)


def test_a_large_file_of_tricks_is_looked_at_in_no_time() -> None:
    assert len(what_deserves_a_look("x = getattr\n" * 20_000)) == 20_000


PROGRAMS = {
    "torch's own os": "import torch\ntorch.serialization.os.system('id')",
    "collect_env": "from torch.utils import collect_env\ncollect_env.run('id')",
    "a module taken out": "import torch\nm = torch.utils\nm.collect_env.run('id')",
    "numpy's exec": "import numpy\nnumpy.distutils.exec_command.exec_command('id')",
    "numpy's lib": "import numpy as np\nnp.lib.npyio.DataSource('x').open('y')",
    "an array's dump": "import torch\ntorch.zeros(1).numpy().dump('x')",
    "an array's tofile": "import torch\ntorch.zeros(1).numpy().tofile('x')",
    "typing's eval": "import typing\ndef f(x: 'open(1)'): pass\ntyping.get_type_hints(f)",
    "typing's sys": "import typing\ntyping.sys.modules['os'].popen('id')",
    "a forward reference": "from typing import ForwardRef\nForwardRef('1')._evaluate({}, {}, frozenset())",
    "make_dataclass": "import dataclasses\ndataclasses.make_dataclass('A', [('x', 'int', 1)])",
    "an inner frame": "try:\n    1 / 0\nexcept Exception as e:\n    e.__traceback__.tb_frame.f_builtins['open']('x')",
    "an ONNX export": "import torch\ntorch.onnx.export(1, 2, 'file')",
    "a profiler's trace": "import torch\nwith torch.profiler.profile() as p:\n    p.export_chrome_trace('x')",
    "a mapped file": "import torch\ntorch.from_file('x', shared=True, size=3)",
    "a storage": "import torch\ntorch.UntypedStorage.from_file('x', True, 3)",
    "functional's torch": "import torch.nn.functional as F\nF.torch.hub.load('a', 'b')",
    "a class's module": "from torchvision.models import resnet\nresnet.torch.load('x')",
    "a compiled network": "import torch\ntorch.compile(f)",
    "getattr in map": "from functools import reduce\nimport torch\nreduce(getattr, ['os', 'system'], torch)",
    "a native operator": "import torch\ntorch.ops.load_library('x.so')",
    "a state hook": "import torch\ntorch.nn.modules.module.register_module_forward_hook(f)",
    "a closure's cell": "f.__closure__[0].cell_contents.system('id')",
    "an exit": "raise SystemExit",
    "a name of its own for a grave one": "import torch\nclass A:\n    os = None\ntorch._utils.os.system('id')",
    "a finaliser": "class A:\n    def __del__(self): pass",
    "the weights of others": "from torchvision.models import vgg16\nvgg16(weights='DEFAULT')",
    "weights by place": "import torchvision\ntorchvision.models.resnet18(True)",
    "weights by a dictionary": "from torchvision.models import vgg16 as v\nv(**{'weights': 'DEFAULT'})",
    "weights from an address": "import torchvision.models.resnet as r\nX = 'get_state_dict'\n"
    "r.Weights('file:x', None, {}).get_state_dict()",
    "a field that is code": "from dataclasses import dataclass\n@dataclass(init=False)\nclass A:\n"
    "    __annotations__ = {'q:{open(1)}': int}",
    "a class made of text": "from abc import ABCMeta\nABCMeta('A', (), {'a': 1})",
    "a dataclass made later": "from dataclasses import dataclass as d\nclass A:\n    pass\nd(repr=True)(A)",
    "a field renamed": "from dataclasses import dataclass, field\nf = field(default=1)\nf.name = 'q:{open(1)}'",
    "a field of no dataclass": "from dataclasses import field\nclass A:\n    x: int = field(default=1)\nA.x.name = 'q'",
    "a pattern that reaches": "def f(): pass\nmatch f:\n    case object(__globals__=g):\n        g['x']('y')",
    "a text for globals": "def f(g):\n    return g['__builtins__']",
    "a name that is also a module's": "import numpy as np\nX = 'testing', 'other'\n"
    "def f(np): pass\nnp.testing.other('x')",
    "two meanings of a name": "import numpy as t\nX = 'testing', 'other'\nt.testing.other('x')\n"
    "def f():\n    from torch.nn import Conv2d as t",
    "a module handed on": "import torch\nX = 'other'\nm = torch.utils\nm.other()",
    "functional within a layer's module": "from torch import nn\nX = 'other'\nnn.modules.conv.F.other()",
    "a function's code": "X = 'gi_code'\ndef g(): yield 1\ng().gi_code.replace(co_names=('eval',))",
    "a function made of code": "def g(): pass\ntype(g)(1, {})",
    "type by another name": "t = type\nt('A', (), {})",
    "help": "def f(help): pass\nhelp('os')",
    "a layer replaced for all": "from torch import nn\nnn.Conv2d.forward = f",
    "a function replaced by text": "import torch\nsetattr(torch.Tensor, 'relu', f)",
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_that_reach_out_of_a_network_are_listed_above_the_notes(program: str) -> None:
    found = what_deserves_a_look(PROGRAMS[program])
    assert found[0].gravity < Gravity.NOTE, found


@pytest.mark.parametrize("model", sorted(bundled_tasks().glob("*/*")), ids=lambda path: path.name)
def test_the_bundled_networks_do_nothing_unexpected(model: Path) -> None:
    if (model / "architecture.py").exists():
        assert what_deserves_a_look((model / "architecture.py").read_text(encoding="utf-8")) == ()
