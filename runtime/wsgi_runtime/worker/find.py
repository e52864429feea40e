"""Find the app: the WSGI callable that APP names, or the one under a usual name in the app's folder."""

import ast
import inspect
import operator
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

MODULES = ("routes", "main", "app", "wsgi", "application")
FACTORY = "create_app"
"""A function that returns the app."""
NAMES = ("app", "application", FACTORY)

LOOKED_FOR = (
    f"app, application or a factory {FACTORY} in {', '.join(f'{name}.py' for name in MODULES)}, app/main.py, "
    "a package of one of these names, or */wsgi.py"
)
MAX_LISTED = 12
"""Names in an error message."""


class AppNotFound(Exception):
    """There is no app under the names that were looked for; the message says what to do."""


def find(setting: str, folder: Path) -> tuple[Callable[..., Any], str]:
    """Return the app and its name as module:name; `setting` is APP. An exception of the app's own code is not caught.

    Raises AppNotFound.
    """
    module_name, _, name = setting.partition(":")
    if name:
        return _named(_import(module_name, setting, folder), name, setting), setting
    seen = []
    for module_name in candidates(folder) if setting == "auto" else [setting]:
        module = _import(module_name, setting, folder)
        for name in NAMES:
            value, full_name = getattr(module, name, None), f"{module_name}:{name}"
            if name == FACTORY and inspect.isroutine(value):
                return _called(value, [], {}, full_name), f"{full_name}()"
            if name != FACTORY and _is_callable(value):
                return _checked(value, full_name), full_name
        seen.append(f"{module_name} has {_contents(module)}")
    raise AppNotFound(
        f"no app found. Looked for {LOOKED_FOR}. Found in {folder}: {_listing(_python_files(folder))}"
        f"{''.join(f'; {each}' for each in seen)}. Set APP=module:name, for example APP=main:app"
    )


def candidates(folder: Path) -> list[str]:
    """Return the modules of the folder that may define the app, in the order in which they are looked at."""
    specs = {name: PathFinder.find_spec(name, [str(folder)]) for name in MODULES}
    found = {name: spec for name, spec in specs.items() if spec and spec.origin}  # a folder of no Python has no origin
    packages = [name for name, spec in found.items() if spec.submodule_search_locations and name != "routes"]
    modules = [name for name in found if name not in packages]
    if "app" not in modules and (folder / "app" / "main.py").is_file():
        modules.append("app.main")
    django = [
        f"{path.parent.name}.wsgi" for path in sorted(folder.glob("*/wsgi.py")) if path.parent.name.isidentifier()
    ]
    return modules + packages + django


def for_flask(command: list[str], setting: str, folder: Path) -> dict[str, str]:
    """Return the FLASK_APP for a command such as `flask routes`. Flask itself looks in wsgi.py and app.py only."""
    if "flask" not in " ".join(command).split()[:4]:  # it may follow `run`, or `bash -c` for a process type
        return {}
    return {"FLASK_APP": setting if setting != "auto" else next(iter(candidates(folder)), "")}


def _import(name: str, setting: str, folder: Path) -> ModuleType:
    try:
        __import__(name)  # unlike importlib.import_module, it leaves no frames of its own in a traceback
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            found = _listing(_python_files(folder))
            raise AppNotFound(
                f"APP is {setting!r}: there is no module {error.name}. Found in {folder}: {found}"
            ) from None
        raise  # the module exists, but not one that it imports
    return sys.modules[name]


def _named(module: ModuleType, expression: str, setting: str) -> Callable[..., Any]:
    """Return the app that APP names: module:name, module:factory or module:factory("argument", key=1)."""
    name, parenthesis, _ = expression.partition("(")
    try:
        value = operator.attrgetter(name)(module)
    except AttributeError:
        found = _contents(module)
        raise AppNotFound(f"APP is {setting!r}: {module.__name__} has no {name}. Found there: {found}") from None
    if parenthesis:
        args, keywords = _arguments(expression, setting)
        return _called(value, args, keywords, setting)
    if _is_factory(value):
        return _called(value, [], {}, setting)
    return _checked(value, setting)


def _arguments(expression: str, setting: str) -> tuple[list[Any], dict[str, Any]]:
    try:
        call: Any = ast.parse(expression, mode="eval").body
        return (
            [ast.literal_eval(argument) for argument in call.args],
            {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords},
        )
    except (SyntaxError, ValueError, AttributeError):
        raise AppNotFound(f"APP is {setting!r}: the arguments of a factory must be literals") from None


def _is_factory(value: Any) -> bool:
    """Return True for a function that can be called without arguments, which a WSGI callable cannot."""
    if not isinstance(value, FunctionType):
        return False
    parameters = inspect.signature(value).parameters.values()
    return all(
        parameter.default is not parameter.empty or parameter.kind is parameter.VAR_KEYWORD for parameter in parameters
    )


def _called(factory: Any, args: list[Any], keywords: dict[str, Any], name: str) -> Callable[..., Any]:
    """Return what a factory returns."""
    try:
        inspect.signature(factory).bind(*args, **keywords)
    except (TypeError, ValueError) as error:
        raise AppNotFound(
            f"the factory {name} cannot be called so: {error}. "
            f"Set APP to the call with its arguments, for example APP=\"{name.partition('(')[0]}('production')\""
        ) from None
    return _checked(factory(*args, **keywords), name)


def _checked(app: Any, name: str) -> Callable[..., Any]:
    if not _is_callable(app):
        raise AppNotFound(f"{name} must be a WSGI callable, not {type(app).__name__}")
    if inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(type(app).__call__):
        raise AppNotFound(f"{name} is an ASGI app; this container serves WSGI apps only")
    return app  # type: ignore[no-any-return]


def _is_callable(value: Any) -> bool:
    """Return True for what may be a WSGI app. Flask's current_app, often imported as `app`, has none at this point."""
    return callable(value) and type(value).__module__ != "werkzeug.local"


def _contents(module: ModuleType) -> str:
    """Return the names of a module that may be meant: its callable objects, and whatever has app in its name."""
    return _listing(
        f"{name} ({type(value).__name__}{'' if _is_callable(value) else ', not callable'})"
        for name, value in vars(module).items()
        if "app" in name.lower()
        or (_is_callable(value) and not isinstance(value, type) and not inspect.isroutine(value))
    )


def _python_files(folder: Path) -> Iterator[str]:
    for path in sorted(folder.iterdir()):
        if path.suffix == ".py":
            yield path.name
        elif path.is_dir() and any(path.glob("*.py")):
            yield f"{path.name}/"


def _listing(names: Iterator[str]) -> str:
    found = list(names)
    return ", ".join(found[:MAX_LISTED]) + (", ..." if len(found) > MAX_LISTED else "") or "nothing"
