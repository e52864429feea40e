"""The settings: one typed table, and the sources of their values.

Precedence: the environment (NAME, or the file that NAME_FILE names), then the file /run/secrets/NAME, then the
profile's YAML file, then the default. `python -m wsgi_runtime.start.report` prints the table of the documentation.
"""

import re
from typing import Any, Literal

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)

from wsgi_runtime import prestart
from wsgi_runtime.procfile import WEB
from wsgi_runtime.start import field_types as types
from wsgi_runtime.start import formation, sources


class Settings(BaseModel):
    """Settings by their names in the environment. A value that does not fit its type stops the container."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    PROFILE: types.Profile = Field(
        "production",
        description="file in `profiles/` with further settings; `development` reloads code and shows tracebacks",
    )
    APP: types.AppName = Field(
        "auto",
        description="the app as `module:name`, or a factory, as in `shop:create_app('test')`; auto: `app`, "
        "`application` or `create_app` in `routes.py`, `main.py`, `app.py`, `wsgi.py`, `application.py`, "
        "`app/main.py`, a package of one of these names, or `*/wsgi.py`",
    )
    PORT: types.Port = Field(
        80,
        validation_alias=AliasChoices("PORT", "LISTEN_PORT"),
        description="public port, on IPv4 and IPv6",
    )
    ADMIN_PORT: types.PortOrOff = Field(
        9090,
        validate_default=True,
        description="admin port, with `/status`, `/status.json` and `/metrics`, open to private addresses; 0: off",
    )
    PROCESSES: types.Formation = Field(
        "web",
        validation_alias=AliasChoices("PROCESSES", "WEB_CONCURRENCY"),
        description="process types that run, with the number of processes of each, as in `web=4,worker=2`; `web` is "
        "uWSGI, the others are in the Procfile; `web` without a number, or `auto`: one process for each CPU of the "
        "container, fewer if its memory is below 96 MB for each; a number alone is that of `web`",
    )
    THREADS: types.Count = Field(
        8,
        description="threads of each uWSGI process, so that a request can wait while others run; 1 is fastest for an "
        "app that never waits",
    )
    GREENLETS: types.Greenlets = Field(
        0,
        validation_alias=AliasChoices("GREENLETS", "ASYNC"),
        description="gevent greenlets of each uWSGI process, instead of threads; needs gevent in `requirements.txt`; "
        "0: off",
    )
    PRELOAD: bool | types.Auto = Field(
        False,
        description="`on`: uWSGI loads the app once and forks its processes from there, which saves memory; the app "
        "must not open connections or start threads while it is imported; `auto`: not if it does so; or `off`",
    )
    PRESTART: bool = Field(True, description="`on` or `off`: run `prestart.sh` before the app starts, if there is one")
    REQUEST_TIMEOUT: types.Seconds = Field(
        30,
        description="seconds to the first byte of a response (then a 504), and between two bytes (then the response is "
        "cut)",
    )
    GRACE_PERIOD: types.Seconds = Field(
        8, description="seconds in which running requests may finish when the container stops; `docker stop` allows 10"
    )
    STOP_DELAY: types.Delay = Field(
        0,
        description="seconds after SIGTERM in which the container still serves while its health check fails with 503",
    )
    MAX_BODY_SIZE: types.BodySize = Field(
        "10m",
        validation_alias=AliasChoices("MAX_BODY_SIZE", "NGINX_MAX_UPLOAD"),
        description="largest request body, in bytes or with `k`, `m` or `g`; 0: any size",
    )
    URL_PREFIX: types.UrlPath = Field(
        "", description="path below which the app is reached, as in `/shop`; it becomes the app's SCRIPT_NAME"
    )
    STATIC_URL: types.UrlPath = Field(
        "/static", description="path of the files that Nginx serves; Nginx passes requests for missing files to the app"
    )
    STATIC_PATH: types.StaticFolder = Field(
        prestart.DEFAULT_STATIC_PATH, description="folder of these files in the container"
    )
    STATIC_INDEX: types.StaticIndex = Field(
        "off",
        description="`on`: `/` is `index.html` of STATIC_PATH; `fallback`: so is every page that neither Nginx nor "
        "the app finds, as single-page apps need it; or `off`",
    )
    HEALTH_PATH: types.UrlPath = Field(
        "/health", description="path that the health check requests; a response below 500 is healthy"
    )
    TRUSTED_PROXIES: types.Networks = Field(
        "",
        description="addresses or networks of proxies, as in `10.0.0.0/8, fd00::/8`; their `X-Request-ID` and "
        "`X-Forwarded-For`, `-Proto`, `-Host`, `-Prefix`, `-User`, `-Preferred-Username`, `-Email` and `-Groups` are "
        "trusted",
    )
    RATE_LIMIT: types.Rate = Field(
        "off",
        description="requests of each client address (IPv6: each /64), as in `20r/s` or `100r/m`, with bursts of "
        "that number; further requests get a 429",
    )
    CACHE: bool = Field(
        False, description="`on` or `off`: Nginx caches responses that the app marks as cacheable (RFC 9111)"
    )
    CSP: types.Policy = Field(
        "minimal",
        description="Content-Security-Policy of HTML pages for which the app sets none: `minimal` (no plugins, no "
        "foreign `<base>`, frames of the same site only), `strict` (in addition: no inline code, only files of the "
        "same site), `off`, or a policy, as in `default-src 'self'; img-src *`",
    )
    TLS_CERT: types.PemFile | None = Field(
        None,
        validation_alias=AliasChoices("TLS_CERT", "TLS_CERT_FILE"),
        description="file with the certificate chain, in PEM; turns on HTTPS and HTTP/2, and redirects HTTP",
    )
    TLS_KEY: types.PemFile | None = Field(
        None,
        validation_alias=AliasChoices("TLS_KEY", "TLS_KEY_FILE"),
        description="file with the private key of TLS_CERT, in PEM",
    )
    HTTPS_PORT: types.Port = Field(443, description="port for HTTPS, on IPv4 and IPv6")
    MAX_REQUESTS: types.Limit = Field(
        0, description="requests of a worker after which uWSGI is replaced, without losing a request; 0: no limit"
    )
    WORKER_MEMORY: types.Megabytes | types.Auto = Field(
        "auto",
        union_mode="left_to_right",
        description="MB by which a worker may grow after it has loaded the app; then uWSGI is replaced without losing "
        "a request; 0: no limit; auto: 80 % of the container's memory limit less 64 MB, divided by twice the "
        "number of uWSGI processes, at least 16; no limit if the container has none",
    )
    LOG_LEVEL: Literal["debug", "info", "warning", "error", "critical"] = Field(
        "info", description="least severe level to log: `debug`, `info`, `warning`, `error` or `critical`"
    )
    LOG_FORMAT: Literal["json", "text"] = Field(
        "json", description="`json`, or `text` for people, in color on a terminal"
    )
    ACCESS_LOG: bool = Field(True, description="`on` or `off`: log each request")
    DEBUG: bool = Field(
        False, description="`on` or `off`: reload code when it changes, and show tracebacks in the browser"
    )
    DEBUGPY: types.Debugpy = Field(
        0,
        description="port on which debugpy lets a debugger attach; needs `DEBUG=on`, `PROCESSES=1`, and an image that "
        "was built with `--build-arg DEBUGPY=on`; REQUEST_TIMEOUT is then a day; 0: off",
    )
    SECRET_KEY: types.Secret | None = Field(
        None,
        description="key for signing sessions; the app reads it from its environment, as `src/routes.py` does; without "
        "it Flask's sessions fail with an error",
    )

    @field_validator("ADMIN_PORT")
    @classmethod
    def _check_admin_port(cls, port: int, info: ValidationInfo) -> int:
        if port == info.data.get("PORT"):
            raise ValueError("must differ from PORT, or be 0 to turn it off")
        return port

    def wrong_combinations(self) -> list[str]:
        """Return a problem for each setting that contradicts another one, or has no effect without it."""
        given = self.model_fields_set
        problems = []
        if self.GREENLETS and "THREADS" in given:
            problems.append("THREADS has no effect when GREENLETS is set; remove one of them")
        if self.DEBUGPY and (
            not self.DEBUG or formation.parse(self.PROCESSES)[WEB] != 1 or self.GREENLETS or self.PRELOAD
        ):
            problems.append("DEBUGPY needs DEBUG=on, PROCESSES=1, GREENLETS=0 and PRELOAD=off")
        if self.DEBUGPY and "REQUEST_TIMEOUT" in given:
            problems.append("REQUEST_TIMEOUT has no effect when DEBUGPY is set; remove one of them")
        if not prestart.is_wanted(self.values()) and (problem := prestart.static_problem(self.values())):
            problems.append(problem)
        if (self.TLS_CERT is None) != (self.TLS_KEY is None):
            problems.append("TLS_CERT and TLS_KEY must be set together; set both or none")
        if self.TLS_CERT is None and "HTTPS_PORT" in given:
            problems.append("HTTPS_PORT has no effect without TLS_CERT and TLS_KEY")
        if self.TLS_CERT is not None and self.HTTPS_PORT in (self.PORT, self.ADMIN_PORT):
            problems.append(f"HTTPS_PORT is {self.HTTPS_PORT}: must differ from PORT and ADMIN_PORT")
        return problems

    @classmethod
    def values_of_sources(cls) -> dict[str, Any]:
        """Return the values that the sources of this container have for the settings, or Problems, by name."""
        settings = [names(name) for name in cls.model_fields]
        by_alias = {alias: name for name, *aliases in settings for alias in aliases}
        values: dict[str, Any] = {}
        for source in reversed(sources.by_precedence(settings, cls.model_fields["PROFILE"].default)):
            values |= {by_alias.get(name, name): value for name, value in source.items()}
        return values

    @field_validator("*", mode="before")
    @classmethod
    def _report_problem_of_source(cls, value: Any) -> Any:
        if isinstance(value, sources.Problem):
            raise ValueError(value)
        return value

    @property
    def max_body_bytes(self) -> int:
        """MAX_BODY_SIZE in bytes; 0 means any size."""
        number, unit = re.fullmatch(r"(\d+)(\D?)", self.MAX_BODY_SIZE.lower()).groups()  # type: ignore[union-attr]
        return int(number) << {"": 0, "k": 10, "m": 20, "g": 30}[unit]

    def values(self) -> dict[str, str]:
        """Return the settings that have a value, as text; switches are 1 or 0, secrets are left out."""
        return {
            name: str(int(value) if isinstance(value, bool) else value)
            for name, value in self
            if value is not None and not isinstance(value, SecretStr)
        }

    def profile_secrets(self) -> dict[str, str]:
        """Return the secret settings that come from the profile, by name."""
        return {
            name: value.get_secret_value()
            for name, value in self
            if isinstance(value, SecretStr) and not sources.origin(names(name))
        }


def names(name: str) -> list[str]:
    """Return a setting's name and its aliases."""
    alias = Settings.model_fields[name].validation_alias
    return [str(choice) for choice in alias.choices] if isinstance(alias, AliasChoices) else [name]
