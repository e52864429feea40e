"""Types of the settings that take more than a number, a switch or one of several words."""

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, TypeAdapter, ValidationError, ValidationInfo

from wsgi_runtime import APP, CONFIG, prestart
from wsgi_runtime.environment import SECRETS
from wsgi_runtime.start import formation

NGINX_PATHS = ("/.container", "/.protected")
"""Paths that nginx.conf uses itself."""

MAX_PATH = 255
"""Characters of a path, as of a file's name (NAME_MAX)."""

MAX_POLICY = 3000
"""Characters of CSP. Nginx reads arguments of up to 4,096 bytes (NGX_CONF_BUFFER)."""

MAX_SECRET_BYTES = 100_000
"""A variable has to be smaller than 128 KB (wsgi_runtime/environment.py)."""

# Quotes, backslashes, dollar signs and control characters would end or change a quoted string of nginx.
DIRECTIVE = r" *(?:[a-z]+(?:-[a-z]+)+|sandbox)(?: [ !#%-:<-\[\]-~]*)?"


def _profile_exists(name: str) -> str:
    known = sorted(path.stem for path in (CONFIG / "profiles").glob("*.yaml"))
    if name not in known:
        raise ValueError(f"must be one of {', '.join(known)}")
    return name


def _gevent_is_installed(greenlets: int) -> int:
    if greenlets == 1:
        raise ValueError("must be 0, or at least 2")
    if greenlets and not any(Path("/venv/lib").glob("python*/site-packages/gevent")):
        raise ValueError("gevent is not installed; add it to src/requirements.txt and build the image again")
    return greenlets


def _debugpy_is_installed(port: int) -> int:
    if port and not any(Path("/venv/lib").glob("python*/site-packages/debugpy")):
        raise ValueError("debugpy is not installed; build the image with --build-arg DEBUGPY=on")
    return port


def _networks(text: str) -> str:
    if "%" in text:
        raise ValueError("addresses with a scope, such as fe80::1%eth0, are not supported")
    try:
        return " ".join(str(ip_network(word)) for word in text.replace(",", " ").split())
    except ValueError:
        raise ValueError("must be addresses or networks, as in 10.0.0.0/8, fd00::/8, without host bits") from None


def _can_be_a_variable(secret: SecretStr) -> SecretStr:
    try:
        size = len(secret.get_secret_value().encode())
    except UnicodeEncodeError:  # os.environ has bytes that are not UTF-8 as surrogates
        size = MAX_SECRET_BYTES
    if size >= MAX_SECRET_BYTES or "\0" in secret.get_secret_value():
        raise ValueError("must be UTF-8 text of less than 100 KB, without NUL")
    return secret


def _is_free(path: str) -> str:
    if path.startswith(NGINX_PATHS):
        raise ValueError(f"paths that begin with {' or '.join(NGINX_PATHS)} are used by nginx.conf itself")
    return path


def _is_static_folder(path: str, info: ValidationInfo) -> str:
    """Return the path. Raises ValueError if it holds the code, or does not exist and prestart.sh cannot create it."""
    if APP.resolve().is_relative_to(Path(path).resolve()):
        raise ValueError(f"it would publish the code in {APP}")
    may_be_created = prestart.is_wanted({"PRESTART": str(int(info.data.get("PRESTART", True)))})
    if not may_be_created and not Path(path).is_dir():
        raise ValueError(prestart.NO_FOLDER)
    return path


def _text_of_yaml(value: Any) -> Any:
    """Return the text that was meant where YAML reads a switch or a number, as for off or 0."""
    return "off" if value is False else str(value) if isinstance(value, int) else value


def _word_of_switch(value: Any) -> Any:
    """Return on or off for any word that a switch takes; any other value unchanged."""
    try:
        return "on" if SWITCH.validate_python(value) else "off"
    except ValidationError:
        return value


def _path_of_secret(value: Any, info: ValidationInfo) -> Any:
    """Return the path of the secret if the value is its content, in PEM."""
    return str(SECRETS / str(info.field_name)) if str(value).startswith("-----BEGIN ") else value


SWITCH = TypeAdapter(bool)


Auto = Literal["auto"]
Seconds = Annotated[int, Field(ge=1, le=86400)]
Delay = Annotated[int, Field(ge=0, le=3600)]
Port = Annotated[int, Field(ge=1, le=65535)]
PortOrOff = Annotated[int, Field(ge=0, le=65535)]
Debugpy = Annotated[PortOrOff, AfterValidator(_debugpy_is_installed)]
Count = Annotated[int, Field(ge=1, le=1024)]
Limit = Annotated[int, Field(ge=0, le=1_000_000_000)]
Megabytes = Annotated[int, Field(ge=0, le=1 << 20)]
Profile = Annotated[str, AfterValidator(_profile_exists)]
Formation = Annotated[str, BeforeValidator(_text_of_yaml), AfterValidator(formation.check)]
Greenlets = Annotated[int, Field(ge=0, le=100_000), AfterValidator(_gevent_is_installed)]
Networks = Annotated[str, AfterValidator(_networks)]
Secret = Annotated[SecretStr, AfterValidator(_can_be_a_variable)]
StaticIndex = Annotated[Literal["off", "on", "fallback"], BeforeValidator(_word_of_switch)]
AppName = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z_][A-Za-z0-9_.]*(?::[A-Za-z_][A-Za-z0-9_.]*(?:\(.*\))?)?$",
        max_length=1000,
        title="auto, or module:name, as in main:app",
    ),
]

# These characters need no quotes in nginx's files.
PlainPath = Annotated[
    str,
    Field(
        pattern=r"^/[A-Za-z0-9._~/-]*[A-Za-z0-9._~-]$",
        max_length=MAX_PATH,
        title=f"an absolute path of up to {MAX_PATH} letters, digits and . _ ~ -, without a slash at its end",
    ),
]
UrlPath = Annotated[PlainPath, AfterValidator(_is_free)]
StaticFolder = Annotated[PlainPath, AfterValidator(_is_static_folder)]
PemFile = Annotated[
    str,
    Field(
        pattern=r"^/[A-Za-z0-9._/-]+$",
        max_length=MAX_PATH,
        title=f"an absolute path of up to {MAX_PATH} letters, digits and . _ -",
    ),
    BeforeValidator(_path_of_secret),
]
BodySize = Annotated[
    str,
    Field(pattern=r"^(?:[0-9]{1,18}|[0-9]{1,9}[kKmMgG])$", title="a number of bytes, or a size such as 10m"),
    BeforeValidator(_text_of_yaml),
]
Rate = Annotated[
    str,
    Field(pattern=r"^(off|[1-9][0-9]{0,5}r/[sm])$", title="off, or a rate such as 20r/s or 100r/m"),
    BeforeValidator(_text_of_yaml),
]
Policy = Annotated[
    str,
    Field(
        pattern=rf"^(?:off|minimal|strict|{DIRECTIVE}(?:;{DIRECTIVE})*;? *)$",
        max_length=MAX_POLICY,
        title=f"off, minimal, strict, or a policy of up to {MAX_POLICY} characters, such as default-src 'self'",
    ),
    BeforeValidator(_text_of_yaml),
]
