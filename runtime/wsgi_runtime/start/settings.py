"""The settings: one typed table, and where each value comes from.

Precedence: the environment, then the file /run/secrets/NAME, then the profile's YAML file, then the default.
`python -m wsgi_runtime.start.settings` prints the table as README has it.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, InitSettingsSource, SettingsConfigDict

from wsgi_runtime.start import sources
from wsgi_runtime.start.field_types import (
    Auto,
    BodySize,
    Greenlets,
    Networks,
    PemFile,
    Policy,
    Port,
    Profile,
    Rate,
    Seconds,
    StaticFolder,
    UrlPath,
    switch_word,
)


class Settings(BaseSettings):
    """Every setting by its name in the environment. A value that doesn't fit its type stops the container."""

    model_config = SettingsConfigDict(
        case_sensitive=True,
        env_ignore_empty=True,
        extra="forbid",
        validate_default=False,
        hide_input_in_errors=True,
    )

    PROFILE: Profile = Field(
        "production",
        description="file in `profiles/` that settings come from; `development` reloads code and shows tracebacks",
    )
    PORT: Port = Field(
        80,
        validation_alias=AliasChoices("PORT", "LISTEN_PORT"),
        description="public port, on IPv4 and IPv6",
    )
    ADMIN_PORT: int = Field(
        9090,
        ge=0,
        le=65535,
        validate_default=True,
        description="private port: `/status`, `/status.json`, `/metrics`, for clients with private addresses; 0: off",
    )
    PROCESSES: Annotated[int, Field(ge=1, le=1024)] | Auto = Field(
        "auto",
        union_mode="left_to_right",
        validation_alias=AliasChoices("PROCESSES", "WEB_CONCURRENCY"),
        description="uWSGI processes; auto: one for each CPU that the container may use, "
        "and no more than its memory holds at 96 MB each",
    )
    THREADS: int = Field(
        8,
        ge=1,
        le=1024,
        description="threads a uWSGI process: so many requests can wait for something at once; "
        "for an app that only computes 1 takes a quarter less CPU time (`bench/README.md`)",
    )
    GREENLETS: Greenlets = Field(
        0,
        validation_alias=AliasChoices("GREENLETS", "ASYNC"),
        description="gevent greenlets a uWSGI process, instead of threads; needs gevent in `requirements.txt`; 0: off",
    )
    REQUEST_TIMEOUT: Seconds = Field(
        30, description="seconds to the first byte of a response, and between two bytes; then the client gets a 504"
    )
    GRACE_PERIOD: Seconds = Field(
        8, description="seconds that requests in flight get at a stop (`docker stop` kills after 10)"
    )
    STOP_DELAY: int = Field(
        0,
        ge=0,
        le=3600,
        description="seconds to go on serving after SIGTERM, while health says 503, before the stop begins; 0: none",
    )
    MAX_BODY_SIZE: BodySize = Field(
        "10m",
        validation_alias=AliasChoices("MAX_BODY_SIZE", "NGINX_MAX_UPLOAD"),
        description="largest request body, in bytes or with `k`, `m` or `g`; 0: any size",
    )
    STATIC_URL: UrlPath = Field(
        "/static", description="where Nginx serves files by itself; what it doesn't find goes to the app"
    )
    STATIC_PATH: StaticFolder = Field("/app/static", description="folder in the container that these files come from")
    STATIC_INDEX: Annotated[Literal["off", "on", "fallback"], BeforeValidator(switch_word)] = Field(
        "off",
        description="`off`; `on`: `/` is the file `index.html` of STATIC_PATH; `fallback`: GET and HEAD requests that "
        "accept HTML get this file also instead of the app's 404, as single-page apps need it",
    )
    HEALTH_PATH: UrlPath = Field(
        "/health", description="what the health check asks, through Nginx and uWSGI; any answer below 500 is healthy"
    )
    TRUSTED_PROXIES: Networks = Field(
        "",
        description="addresses or networks, as in `10.0.0.0/8, fd00::/8`, whose `X-Forwarded-For`, `-Proto`, `-Host`, "
        "`-Prefix`, `-User`, `-Preferred-Username`, `-Email` and `-Groups` and `X-Request-ID` are believed",
    )
    RATE_LIMIT: Rate = Field(
        "off",
        description="requests a second or minute for each client address (IPv6: each /64), as in `20r/s`; "
        "as many at once; more get a 429",
    )
    CACHE: bool = Field(
        False, description="`on` or `off`: Nginx caches responses that the app marks as cacheable, as HTTP says"
    )
    CSP: Policy = Field(
        "minimal",
        description="Content-Security-Policy of HTML pages that have none of the app's: `minimal` (no plugins, no "
        "foreign `<base>`, frames of the same site only), `strict` (also: no inline code, only the site's own files), "
        "`off`, or a policy, as in `default-src 'self'; img-src *`",
    )
    TLS_CERT: PemFile | None = Field(
        None, description="file with the certificate chain, in PEM; with it: HTTPS and HTTP/2, and HTTP redirects"
    )
    TLS_KEY: PemFile | None = Field(None, description="file with its private key, in PEM")
    HTTPS_PORT: Port = Field(443, description="port of HTTPS, on IPv4 and IPv6")
    MAX_REQUESTS: int = Field(
        0,
        ge=0,
        le=1_000_000_000,
        description="a worker is replaced after so many requests, each worker after a few more than the last; 0: never",
    )
    WORKER_MEMORY: Annotated[int, Field(ge=0, le=1 << 20)] | Auto = Field(
        "auto",
        union_mode="left_to_right",
        description="MB that a worker may grow by, measured since it has loaded the app; then uWSGI is replaced "
        "without losing a request; 0: never; auto: 80 % of the container's memory limit less 64 MB, divided by twice "
        "PROCESSES, at least 16; never without a limit",
    )
    LOG_LEVEL: Literal["debug", "info", "warning", "error", "critical"] = Field(
        "info", description="`debug`, `info`, `warning`, `error` or `critical`: what is less severe is not logged"
    )
    LOG_FORMAT: Literal["json", "text"] = Field(
        "json", description="`json`, or `text` for people, with colour on a terminal"
    )
    ACCESS_LOG: bool = Field(True, description="`on` or `off`: a line for each request")
    DEBUG: bool = Field(
        False, description="`on` or `off`: code is reloaded when it changes, tracebacks show on the page"
    )
    SECRET_KEY: SecretStr | None = Field(
        None,
        description="key for signing sessions, which the app takes from its environment as `src/routes.py` does; "
        "without it Flask's sessions fail loudly",
    )

    @field_validator("ADMIN_PORT")
    @classmethod
    def _admin_port_is_not_the_public_port(cls, port: int, info: ValidationInfo) -> int:
        if port == info.data.get("PORT"):
            raise ValueError("must differ from PORT, or be 0 to turn it off")
        return port

    @model_validator(mode="after")
    def _fit_together(self) -> "Settings":
        given = self.model_fields_set
        problems = []
        if self.GREENLETS and "THREADS" in given:
            problems.append("THREADS has no effect beside GREENLETS; remove one of them")
        if self.STATIC_INDEX != "off" and not Path(self.STATIC_PATH, "index.html").is_file():
            problems.append(f"STATIC_INDEX is {self.STATIC_INDEX}, but there is no index.html in {self.STATIC_PATH}")
        if (self.TLS_CERT is None) != (self.TLS_KEY is None):
            problems.append("TLS_CERT and TLS_KEY need each other; give both or none")
        if self.TLS_CERT is None and "HTTPS_PORT" in given:
            problems.append("HTTPS_PORT has no effect without TLS_CERT and TLS_KEY")
        if self.TLS_CERT is not None and self.HTTPS_PORT in (self.PORT, self.ADMIN_PORT):
            problems.append(f"HTTPS_PORT is {self.HTTPS_PORT}, and PORT or ADMIN_PORT is as well; they have to differ")
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @classmethod
    def settings_customise_sources(  # type: ignore[no-untyped-def]
        cls, settings_cls, init_settings, env_settings, dotenv_settings, file_secret_settings
    ):
        """The sources in the order of precedence, highest first (pydantic-settings calls this)."""
        settings = [names(name) for name in cls.model_fields]
        secrets = sources.secrets({each for setting in settings for each in setting})
        name = (secrets | env_settings()).get("PROFILE", cls.model_fields["PROFILE"].default)
        profile = sources.profile(name)
        problems: dict[str, str] = {}
        for source in profile, secrets, os.environ:
            problems |= {key: value for key, value in source.items() if isinstance(value, sources.Problem)}
            problems |= sources.conflicts(source, settings)
        return (
            InitSettingsSource(settings_cls, problems),
            env_settings,
            InitSettingsSource(settings_cls, secrets),
            InitSettingsSource(settings_cls, profile),
        )

    @field_validator("*", mode="before")
    @classmethod
    def _no_problem_of_a_source(cls, value: Any) -> Any:
        if isinstance(value, sources.Problem):
            raise ValueError(value)
        return value

    @property
    def max_body_bytes(self) -> int:
        """MAX_BODY_SIZE in bytes; 0 is any size."""
        number, unit = re.fullmatch(r"(\d+)(\D?)", self.MAX_BODY_SIZE.lower()).groups()  # type: ignore[union-attr]
        return int(number) << {"": 0, "k": 10, "m": 20, "g": 30}[unit]

    def values(self) -> dict[str, str]:
        """Return each setting that has a value as text: switches are 1 and 0, secrets are left out."""
        return {
            name: str(int(value) if isinstance(value, bool) else value)
            for name, value in self
            if value is not None and not isinstance(value, SecretStr)
        }

    def profile_secrets(self) -> dict[str, str]:
        """Return the settings of type secret that come from the profile, by name."""
        return {
            name: value.get_secret_value()
            for name, value in self
            if isinstance(value, SecretStr) and not sources.origin(names(name))
        }


def names(name: str) -> list[str]:
    """Return a setting's name and its aliases."""
    alias = Settings.model_fields[name].validation_alias
    return [str(choice) for choice in alias.choices] if isinstance(alias, AliasChoices) else [name]


def table() -> str:
    """The settings as the Markdown table of README."""
    rows = ["| name (alias) | default | meaning |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        alias = "".join(f" (`{alias}`)" for alias in names(name)[1:])
        default = {"None": "(none)", "": "(none)", "True": "on", "False": "off"}.get(str(field.default), field.default)
        rows.append(f"| `{name}`{alias} | {default} | {field.description} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table())
