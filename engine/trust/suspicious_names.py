"""Names in a model's code, and what they can do: the lists that `engine.trust.inspection` uses."""

from __future__ import annotations

import re
import types

WHAT_FOR = {
    "os": "files, processes, the environment",
    "sys": "the interpreter itself",
    "subprocess": "starts programs",
    "socket": "the network",
    "ssl": "the network",
    "http": "the network",
    "urllib": "the network",
    "requests": "the network",
    "ftplib": "the network",
    "smtplib": "the network",
    "asyncio": "programs and the network",
    "shutil": "copies and removes files",
    "pathlib": "files",
    "io": "files",
    "glob": "files",
    "tempfile": "files",
    "mmap": "files",
    "sqlite3": "files",
    "zipfile": "files",
    "tarfile": "files",
    "pickle": "runs code from data",
    "marshal": "runs code from data",
    "shelve": "runs code from data",
    "dill": "runs code from data",
    "joblib": "runs code from data",
    "cloudpickle": "runs code from data",
    "importlib": "loads other code",
    "runpy": "loads other code",
    "pkgutil": "loads other code",
    "imp": "loads other code",
    "code": "runs text as code",
    "builtins": "reaches every built-in function",
    "ctypes": "native code",
    "cffi": "native code",
    "inspect": "reaches other code",
    "gc": "reaches other code",
    "multiprocessing": "starts processes",
    "threading": "keeps running in the background",
    "concurrent": "keeps running in the background",
    "signal": "acts on processes",
    "pty": "starts programs",
    "atexit": "runs later",
    "base64": "can hide text",
    "codecs": "can hide text",
    "zlib": "can hide text",
    "binascii": "can hide text",
}
"""Modules, and what they can be used for."""

BUILTINS = {
    "exec": "runs text as code",
    "eval": "runs text as code",
    "compile": "turns text into code",
    "__import__": "imports by a name that it works out",
    "open": "opens a file",
    "input": "waits for a person",
    "breakpoint": "starts the debugger",
    "help": "imports by text, and may start a program that shows pages",
    "globals": "reaches names by text",
    "locals": "reaches names by text",
    "vars": "reaches names by text",
    "__builtins__": "reaches every built-in function",
    "__loader__": "loads other code",
    "__spec__": "loads other code",
}
"""Built-in functions and names that every module has, and what they do."""

BY_NAME = frozenset({"getattr", "setattr", "delattr", "hasattr"})
"""Built-in functions that reach an attribute by a text that names it."""

MODULES = frozenset({"os", "subprocess", "socket", "sys", "importlib", "shutil", "ctypes", "pickle", "builtins"})
"""Names of modules that are reported as attributes too: `torch.os` reaches `os`."""

ATTRIBUTES = {
    "system": "starts programs",
    "popen": "starts programs",
    "hub": "downloads code and runs it",
    "load_state_dict_from_url": "downloads weights",
    "download_url_to_file": "downloads a file",
    "cpp_extension": "compiles and runs native code",
    "load_library": "runs native code",
    "ctypeslib": "native code",
    "f2py": "compiles and runs native code",
    "jit": "can load code from a file",
    "package": "can load code from a file",
    "multiprocessing": "starts processes",
    "distributed": "the network",
    "load": "reads a file, which may run code",
    "save": "writes a file",
    "savez": "writes a file",
    "tofile": "writes a file",
    "fromfile": "reads a file",
    "loadtxt": "reads a file",
    "genfromtxt": "reads a file",
    "memmap": "reads or writes a file",
    "open": "opens a file",
    "read_text": "reads a file",
    "read_bytes": "reads a file",
    "write_text": "writes a file",
    "write_bytes": "writes a file",
    "unlink": "removes a file",
    "register_module_forward_hook": "reaches into every network",
    "dump": "writes a file, which may run code when it is read",
    "from_file": "reads or writes a file",
    "savetxt": "writes a file",
    "savez_compressed": "writes a file",
    "fromregex": "reads a file",
    "DataSource": "downloads and reads files",
    "npyio": "reads and writes files",
    "serialization": "reads files, which may run code",
    "library": "can load native code",
    "ops": "can load native code",
    "classes": "can load native code",
    "compile": "compiles and runs native code",
    "inductor": "compiles and runs native code",
    "collect_env": "starts programs",
    "get_type_hints": "runs text as code",
    "ForwardRef": "runs text as code",
    "make_dataclass": "runs text as code",
    "get_state_dict": "downloads weights",
    "load_url": "downloads weights",
    "model_zoo": "downloads weights",
    "runstring": "runs text as code",
    "Popen": "starts programs",
    "check_call": "starts programs",
    "check_output": "starts programs",
    "getoutput": "starts programs",
    "urlopen": "the network",
    "urlretrieve": "downloads a file",
    "rmtree": "removes files",
    **{
        name: "reaches other code"
        for kind in (
            types.FrameType,
            types.TracebackType,
            types.CodeType,
            types.GeneratorType,
            types.CoroutineType,
            types.AsyncGeneratorType,
        )
        for name in dir(kind)
        if re.match("[a-z]{1,2}_", name)
    },
    "import_module": "imports by a name that it works out",
}
"""Attributes that a network seldom needs, on whatever object, and what they do."""

USUAL_DUNDERS = frozenset({"__init__", "__name__", "__doc__", "__version__", "__file__", "__call__", "__post_init__"})
"""Names with two underscores at both ends that are common in networks."""

USUAL_OWN_DUNDERS = USUAL_DUNDERS | {"__all__", "__author__", "__constants__", "__license__", "__slots__"}
"""Names with two underscores at both ends that a network's code may well give a meaning; see also `USUAL_METHODS`."""

DOWNLOADING = ("weights", "weights_backbone", "pretrained", "pretrained_backbone")
"""Arguments of torchvision's networks that download weights."""

USUAL_DECORATORS = frozenset(
    {
        "dataclass",
        "dataclasses.dataclass",
        "staticmethod",
        "classmethod",
        "property",
        "abstractmethod",
        "abc.abstractmethod",
        "functools.wraps",
        "functools.cache",
        "functools.lru_cache",
        "functools.cached_property",
        "torch.no_grad",
        "torch.inference_mode",
        "torch.jit.ignore",
        "torch.jit.export",
        "torch.jit.unused",
        "override",
        "typing.override",
        "overload",
        "typing.overload",
    }
)
"""Decorators that do only what their names say."""
