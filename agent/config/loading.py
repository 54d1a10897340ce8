"""Reads `config.yaml`: one `load`, all problems told at once with key path and fix."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from agent.config.secrets import SecretReference
from agent.config.sections import Config
from agent.domain.errors import ConfigError, ConfigProblem


def load(path: str | Path) -> Config:
    """Read and check the configuration; ConfigError tells every problem with its key path and fix."""
    config = read(path)
    missing = missing_secrets(config)
    if missing:
        raise ConfigError(str(path), missing)
    return config


def read(path: str | Path) -> Config:
    """Read and check the configuration without fetching secrets, for what needs none."""
    return parse(_read_yaml(Path(path)), path=str(path))


def read_sections(path: str | Path, names: Sequence[str]) -> Config:
    """Read and check these sections alone: what is wrong elsewhere is none of the caller's business."""
    data = _read_yaml(Path(path))
    if not isinstance(data, dict):
        return parse(data, path=str(path))
    return parse({name: data[name] for name in names if name in data}, path=str(path))


def missing_secrets(config: Config) -> list[ConfigProblem]:
    """Every secret that is needed and cannot be fetched."""
    return [
        ConfigProblem(key, problem, "set it, or leave the key out to switch this off")
        for key, reference in config.secret_references()
        if config.needs(key) and (problem := _unresolved(reference))
    ]


def known_secrets(config: Config) -> list[str]:
    """Every secret that can be fetched: a command that needs none still redacts those that it knows."""
    absent = {problem.key_path for problem in missing_secrets(config)}
    return [
        reference.resolve().reveal()
        for key, reference in config.secret_references()
        if config.needs(key) and key not in absent
    ]


def parse(data: object, *, path: str) -> Config:
    """Check parsed YAML without fetching secrets."""
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ConfigError(path, [ConfigProblem("(top)", "must be a mapping of sections")])
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError(path, [_problem(details) for details in error.errors()]) from None


def _read_yaml(path: Path) -> object:
    if not path.is_file():
        fix = "write one (README, Configuration) or name it with --config"
        raise ConfigError(str(path), [ConfigProblem("(file)", "does not exist", fix)])
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [ConfigProblem("(file)", f"is not YAML: {error}")]) from error


def _unresolved(reference: SecretReference) -> str:
    if not reference.is_one:
        return "must name exactly one of env, file, aws_ssm, aws_secret"
    try:
        reference.resolve()
    except (ValueError, OSError) as error:
        return str(error)
    return ""


def _problem(details: ErrorDetails) -> ConfigProblem:
    location = [part for part in details["loc"] if part not in _UNION_BRANCHES]
    key_path = "".join(_path_part(part) for part in location).removeprefix(".") or "(top)"
    if details["type"] == "extra_forbidden":
        return ConfigProblem(key_path, "is not a known key", _suggestion(location))
    if details["type"] in ("model_type", "model_attributes_type") and _names_a_secret(key_path):
        return ConfigProblem(key_path, "must be a reference, never the secret itself", "write {env: NAME}")
    message = details["msg"].removeprefix("Value error, ")
    return ConfigProblem(key_path, f"{message[:1].lower()}{message[1:]}")


def _path_part(part: int | str) -> str:
    return f"[{part}]" if isinstance(part, int) else f".{part}"


#: pydantic names the branch of a union that it tried; the operator did not write it.
_UNION_BRANCHES = ("SecretReference", "function-after[vendor_url(), str]")


_SECRET_WORDS = ("token", "secret", "routing_key", "api_key", "webhook_url", "authorization", "password")


def _names_a_secret(key_path: str) -> bool:
    return any(word in key_path for word in _SECRET_WORDS)


def _suggestion(location: Sequence[int | str]) -> str:
    section = _section_at(location[:-1])
    known = list(section.model_fields) if section is not None else []
    near = difflib.get_close_matches(str(location[-1]), known, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"known keys: {', '.join(known)}" if known else "remove it"


def _section_at(location: Sequence[int | str]) -> type[BaseModel] | None:
    section: type[BaseModel] = Config
    is_name = False
    for part in location:
        if isinstance(part, int) or is_name:  # the place in a list, or a name that the operator made up
            is_name = False
            continue
        field = section.model_fields.get(str(part))
        found = _model_in(field.annotation) if field is not None else None
        if field is None or found is None:
            return None
        section, is_name = found, get_origin(field.annotation) is Mapping
    return section


def _model_in(annotation: object) -> type[BaseModel] | None:
    for candidate in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None
