"""Discovery of model plugins: installed packages by entry point, and folders without any installation.

Plugins are loaded one by one. One that declares its model in a ``plugin.toml`` is read and never imported; strangers'
Python is imported in a process of its own. One that cannot be read, breaks a rule of declarations or repeats another's
name becomes a row ``broken: reason``; the others are not affected. One in a folder that the user has named takes the
place of an installed one of its name.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import inspect
import os
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pluggy

from harness.errors import PrerequisiteError, UnknownName, UsageError
from harness.registry import hookspecs
from harness.registry.constraints import DeclarationError
from harness.registry.declaration import Model, Variant
from harness.registry.plugin_toml import FILE, read_plugin_toml

ENTRY_POINTS = "groundbench.plugins"

#: Packages of ours: a stranger's of such a name cannot be imported beside them.
OURS = frozenset({"harness", "plugins", "containers", "curation", "leaderboard", "groundbench", "groundbench_sdk"})

#: The folder of the plugins that come with groundbench.
_SHIPPED = Path(__file__).resolve().parents[2] / "plugins"

#: The only module whose models may read the ground truth, and the folder of its code.
_GRANTED = (f"{ENTRY_POINTS}:known-answer", _SHIPPED / "known_answer")


@dataclass(frozen=True)
class Plugin:
    """One model that can be run.

    Attributes
    ----------
    model
        The plugin's declaration.
    origin
        Its origin: ``"groundbench 0.1.0"`` or a folder's path.
    granted_truth
        Whether its containers may read the ground truth (known-answer plugins; such runs are never ranked).
    """

    model: Model
    origin: str
    granted_truth: bool = False

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.name

    @property
    def shipped(self) -> bool:
        """Whether its code is that of a plugin that comes with groundbench, and not a stranger's."""
        return self.model.root.resolve().is_relative_to(_SHIPPED)

    def variant(self, name: str | None) -> Variant:
        """Return the variant named `name` (None: the first); raises UsageError with the nearest names."""
        if name is None:
            return self.model.variants[0]
        for variant in self.model.variants:
            if variant.name == name:
                return variant
        raise UnknownName(f"variant of {self.name}", name, [variant.name for variant in self.model.variants])


@dataclass(frozen=True)
class BrokenPlugin:
    """A plugin that could not be loaded: its name, its origin, and the reason."""

    name: str
    origin: str
    reason: str


class Registry:
    """All plugins found, working and broken."""

    def __init__(self) -> None:
        self.plugins: dict[str, Plugin] = {}
        self.broken: list[BrokenPlugin] = []
        self.notes: list[str] = []  #: which plugins take the place of others, in words

    def get(self, name: str) -> Plugin:
        """Return the plugin named `name`.

        Raises
        ------
        PrerequisiteError
            When it is broken, with the reason.
        UsageError
            When it does not exist, with the nearest names.
        """
        if name in self.plugins:
            return self.plugins[name]
        for broken in self.broken:
            if broken.name == name:
                raise PrerequisiteError(
                    f"plugin {name!r} ({broken.origin}) is broken: {broken.reason}",
                    fix="fix or remove it; `bench list` shows every plugin's state",
                )
        fix = "see `bench list`; a plugin in your own folder also needs --plugin-dir FOLDER"
        if self.broken:
            fix = f"see `bench list`; broken: {'; '.join(f'{b.name} ({b.origin}): {b.reason}' for b in self.broken)}"
        raise UnknownName("plugin", name, [*self.plugins, *(b.name for b in self.broken)], fix=fix)

    def add(self, name: str, origin: str, module: object) -> None:
        """Register one plugin module; any fault of it becomes a broken row."""
        try:
            self._register(name, origin, module)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's code may raise anything
            self.broken.append(BrokenPlugin(name, origin, _reason(error)))

    def _register(self, name: str, origin: str, module: object) -> None:
        # A manager for each plugin: a plugin that tampers with its manager cannot reach the next.
        manager = pluggy.PluginManager(hookspecs.PROJECT)
        manager.add_hookspecs(hookspecs)
        manager.register(module, name=name)
        manager.check_pending()
        if not manager.hook.bench_models.get_hookimpls():
            hooks = [h for h in dir(module) if h.startswith("bench_") and callable(getattr(module, h))]
            marked = f"it has {', '.join(hooks)}, not marked @hookimpl" if hooks else "it does not implement a hook"
            raise DeclarationError(f"{marked}; a plugin needs `@hookimpl def bench_models()`")
        declared = manager.hook.bench_models()  # one result; pluggy drops None
        models = [] if not declared else [declared[0]] if isinstance(declared[0], Model) else list(declared[0])
        if not models:
            raise DeclarationError("bench_models() returned an empty list")
        for model in models:
            self._add_model(name, origin, module, model)

    def _add_model(self, name: str, origin: str, module: object, model: object) -> None:
        if not isinstance(model, Model):
            raise DeclarationError(f"bench_models() must return Model objects, not {type(model).__name__}")
        try:
            if model.root == Path():
                model = replace(model, root=_folder(module))
            model.check_files()
            granted = _may_read_truth(name, module)
            if model.reads_truth and not granted:
                raise DeclarationError("it requests the ground truth, which only the known-answer plugins may read")  # noqa: TRY301
        except DeclarationError as error:
            self.broken.append(BrokenPlugin(model.name, origin, str(error)))
            return
        self._take(Plugin(model, origin, granted_truth=model.reads_truth))

    def _take(self, plugin: Plugin) -> None:
        taken = self.plugins.get(plugin.name)
        if taken is not None:
            reason = f"the plugin from {taken.origin} already has this name"
            self.broken.append(BrokenPlugin(plugin.name, plugin.origin, reason))
        else:
            self.plugins[plugin.name] = plugin

    def merge(self, other: Registry, *, named: Registry | None = None) -> None:
        """Add what another registry has found.

        Parameters
        ----------
        other
            Its names that are taken become broken rows.
        named
            Plugins that the user has named, whether or not they work: they take the place of those of `other`.
        """
        before: dict[str, str] = {}
        if named is not None:
            before = {one.name: one.origin for one in named.broken} | {
                n: one.origin for n, one in named.plugins.items()
            }
        for plugin in other.plugins.values():
            if plugin.name in before:
                self.notes.append(
                    f"{plugin.name} is the plugin from {before[plugin.name]}, not the one of {plugin.origin}"
                )
            else:
                self._take(plugin)
        self.broken += [broken for broken in other.broken if broken.name not in before]


def discover(folders: tuple[Path, ...] = ()) -> Registry:
    """Find every plugin: installed ones by entry point, then those in `folders`.

    Parameters
    ----------
    folders
        Each either a plugin itself (it holds ``plugin.toml`` or ``__init__.py``) or a folder of such plugins.

    Raises
    ------
    UsageError
        When a folder does not exist or does not contain a plugin.
    """
    named = Registry()
    for folder in folders:
        for path in _plugin_folders(folder):
            name = path.name.replace("_", "-")
            read_it = _read_data(name, str(path), path) or _read_apart(name, str(path), partial(_import_folder, path))
            named.merge(read_it)
    registry = Registry()
    known: dict[int, str] = {}  # to read the metadata of a package once, however many plugins it has
    for entry in sorted(importlib.metadata.entry_points(group=ENTRY_POINTS), key=lambda e: e.name):
        origin = entry.value
        if entry.dist:
            origin = known.get(id(entry.dist)) or f"{entry.dist.name} {entry.dist.version}"
            known[id(entry.dist)] = origin
        if _is_shipped(entry):
            found = _read(entry.name, origin, entry.load)
        else:
            data = _read_data(entry.name, origin, _package_folder(entry))
            found = data or _read_under_our_name(entry, origin) or _read_apart(entry.name, origin, entry.load)
        registry.merge(found, named=named)
    registry.merge(named)
    return registry


def _read(name: str, origin: str, load: Callable[[], object]) -> Registry:
    """Import one plugin and return what it declares; any fault of it becomes a broken row."""
    found = Registry()
    try:
        module = load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's import may raise anything
        found.broken.append(BrokenPlugin(name, origin, _reason(error)))
    else:
        found.add(name, origin, module)
    return found


def _read_data(name: str, origin: str, folder: Path | None) -> Registry | None:
    """Return what the ``plugin.toml`` of a folder declares, or its fault; None where there is none."""
    if folder is None or not os.path.lexists(folder / FILE):
        return None
    found = Registry()
    try:
        model = read_plugin_toml(folder)
        model.check_files()
        found.plugins[model.name] = Plugin(model, origin)
    except Exception as error:  # noqa: BLE001 - whatever a stranger's file holds, the others are not affected
        found.broken.append(BrokenPlugin(name, origin, _reason(error)))
    return found


def _read_under_our_name(entry: importlib.metadata.EntryPoint, origin: str) -> Registry | None:
    """Return the fault of a plugin whose package has the name of one of ours, which is imported in its place."""
    package = entry.module.partition(".")[0]
    if package not in OURS:
        return None
    other = entry.name.replace("-", "_")
    reason = f"its package {package} has the name of one of groundbench's; call it something else, such as {other}"
    found = Registry()
    found.broken.append(BrokenPlugin(entry.name, origin, reason))
    return found


def _package_folder(entry: importlib.metadata.EntryPoint) -> Path | None:
    """Return the folder of a top-level package that an entry point names, without importing it; None for others."""
    if "." in entry.module:
        return None  # to find it, Python would import the package around it
    try:
        spec = importlib.util.find_spec(entry.module)
    except (ImportError, ValueError):
        return None
    folders = list(spec.submodule_search_locations or ()) if spec else []
    return Path(folders[0]) if folders else None


def _read_apart(name: str, origin: str, load: Callable[[], object]) -> Registry:
    """Return what a stranger's plugin declares, imported in a process of its own."""
    from harness.registry.apart import Unanswered, read_apart

    def read() -> tuple[list[Model], list[BrokenPlugin]]:
        try:
            found = _read(name, origin, load)
        except BaseException as error:  # noqa: BLE001 - in that process only the plugin can have raised it
            return [], [BrokenPlugin(name, origin, _reason(error))]
        return [plugin.model for plugin in found.plugins.values()], found.broken

    registry = Registry()
    try:
        models, broken = read_apart(read)
        for model in models:
            registry._take(Plugin(model, origin))  # noqa: SLF001 - the truth is granted to nobody here
        registry.broken += broken
    except Unanswered as error:
        registry.broken.append(BrokenPlugin(name, origin, str(error)))
    return registry


def _is_shipped(entry: importlib.metadata.EntryPoint) -> bool:
    """Return whether an entry point leads to a plugin that comes with groundbench, without importing anything."""
    package, _, rest = entry.module.partition(".")
    if package != _SHIPPED.name or not (_SHIPPED / rest.partition(".")[0] / "__init__.py").is_file():
        return False
    spec = importlib.util.find_spec(package)
    return spec is not None and _SHIPPED.as_posix() in list(spec.submodule_search_locations or ())[:1]


def _plugin_folders(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise UsageError(f"the plugin folder {folder} does not exist", fix=f"give the folder that holds {FILE}")
    if _is_plugin(folder):
        yield folder.resolve()
        return
    inside = sorted(path for path in folder.iterdir() if _is_plugin(path))
    if not inside:
        raise UsageError(
            f"{folder} does not contain a plugin",
            fix=f"a plugin is a folder with a {FILE}, or with an __init__.py that implements bench_models()",
        )
    yield from (path.resolve() for path in inside)


def _is_plugin(folder: Path) -> bool:
    return (folder / FILE).is_file() or (folder / "__init__.py").is_file()


def _import_folder(path: Path) -> types.ModuleType:
    """Import a plugin folder under a private name, so that two folders of one name do not collide."""
    name = f"groundbench_plugin_{path.name}_{abs(hash(path)):x}"
    spec = importlib.util.spec_from_file_location(name, path / "__init__.py", submodule_search_locations=[str(path)])
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _folder(module: object) -> Path:
    """Return the folder of the module that a plugin was loaded from."""
    file = getattr(module, "__file__", None)
    if not file:
        raise DeclarationError("root must be declared: the plugin is not a module with a file")
    return Path(file).resolve().parent


def _may_read_truth(name: str, module: object) -> bool:
    """Return whether `module` is the harness's own known-answer plugin, by name and by the folder of its code."""
    entry, folder = _GRANTED
    if f"{ENTRY_POINTS}:{name}" != entry or not isinstance(module, types.ModuleType):
        return False
    file = inspect.getsourcefile(module)
    return file is not None and Path(file).resolve().parent == folder


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split()) or "no message"
    if isinstance(error, DeclarationError):
        return text
    if isinstance(error, ModuleNotFoundError):
        return f"{text}; a declaration must not import heavy packages: these belong in the model's image"
    return f"{type(error).__name__}: {text}"[:500]
