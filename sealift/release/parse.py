"""The release file: YAML that people write, parsed once, with every mistake listed at once."""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from sealift import mistakes
from sealift.errors import SealiftError, one_line
from sealift.files import read_limited
from sealift.release.catalogue import no_such_tag
from sealift.release.objectives import OBJECTIVES
from sealift.release.parameters import LOAD_PARAMETERS, Parameters
from sealift.release.questions import Pair, Question
from sealift.release.types import Release
from sealift.services import SERVICES

_LIMIT = 256 << 10  # bytes: 1,000 files with address and SHA-256; PyYAML takes seconds for as many
_DIGITS = 18  # of a number
# what a pattern of types.py asks for, by the last named part of a key's path
_EXAMPLES = {
    "name": "small letters, digits, dots and dashes",
    "expires": "a date such as 2027-05-31",
    "version": "a version such as 2026.11.0",
    "archive": "a path below the sources folder, such as images/ollama.tar",
    "store": "a path below the sources folder, such as ollama",
    "modelfile": "a path below the sources folder, such as site-gemma/Modelfile",
    "path": "a path below the sources folder, such as nvidia-apt",
    "key": "a path below the sources folder, such as nvidia-apt/key.asc",
    "images": "HOST/PATH:TAG in full, such as docker.io/ollama/ollama:0.11.4",
    "models": "MODEL:TAG, such as gemma3:270m",
    "model": "MODEL:TAG, such as gemma3:270m",
    "fallback": "MODEL:TAG, such as gemma3:270m",
    "packages": "a Debian package's name",
    "control": "a Debian package's name",
    "url": "an address such as https://example.org/tool, without a login",
    "sha256": "64 hexadecimal digits, in small letters",
    "target": "a plain path below /usr/local, /opt or /srv, such as /usr/local/bin/tool",
    "mode": "permissions such as '0755', in quotes; nobody but root may write",
    "files": "small letters, digits, dots and dashes",
    "python": "a path below the project, such as requirements.txt",
    "suites": "a suite, such as trixie or ./",
    "components": "a component, such as main",
    "first_token": "a time such as 2s or 500ms",
    "answer": "a time such as 3s or 500ms",
    "memory": "an amount such as 16GiB",
    "success": "a share such as 95%",
}
_REPOSITORY = "http:// or https:// with a host, no login and no query"
_PACKAGE_KEYS = ("sources", "base", "all")
_MODEL_PLACES = ("archive", "store", "modelfile")


def load_release(path: Path) -> Release:
    """Read a release file.

    Raises SealiftError with a line per mistake: `releases/demo.yaml: roles.chat.model: what is wrong. What to
    do.`
    """
    raw = _load_yaml(read_limited(path, _LIMIT), path)
    wrong = list(_cross_checks(raw))
    try:
        release = Release.model_validate(raw)
    except ValidationError as error:
        wrong = [_explain(item) for item in error.errors()] + wrong
    if wrong:
        raise SealiftError("\n".join(f"{path}: {one_line(mistake)}" for mistake in dict.fromkeys(wrong)))
    return release


class StrictLoader(yaml.SafeLoader):
    """Safe YAML without what hides mistakes, grows without bound or trips PyYAML.

    That is: keys that are there twice, aliases, tags, and numbers without end.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """As in SafeLoader. Raises MarkedYAMLError at an alias and at a tag."""
        problem = None
        if self.check_event(yaml.AliasEvent):
            problem = "aliases are not used here, write it out"
        elif getattr(self.peek_event(), "tag", None) is not None:  # type: ignore[no-untyped-call]  # untyped there
            problem = "tags such as !!int are not used here, leave it out"
        if problem:
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=self.get_mark())
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """As in SafeLoader. Raises MarkedYAMLError at a key that is there twice, or is no text."""
        seen: set[Any] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                problem = "a key is a list or a mapping, expected text"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            if key.value in seen:
                problem = f"the key {one_line(key.value)} stands here twice, keep one"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _integer(loader: StrictLoader, node: yaml.ScalarNode) -> int | str:
    """A number; text where it is endless: Python takes some of those, and then cannot show them."""
    return loader.construct_yaml_int(node) if len(node.value) <= _DIGITS else str(node.value)


StrictLoader.add_constructor("tag:yaml.org,2002:int", _integer)


def _load_yaml(content: bytes, path: Path) -> Any:
    try:
        return yaml.load(content, StrictLoader)  # noqa: S506 - a SafeLoader, made stricter
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise SealiftError(f"{path}: {line}{one_line(str(error.problem))}. Correct the YAML.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SealiftError(f"{path}: is not YAML: {one_line(str(error))}. Correct it.") from None


def _explain(item: ErrorDetails) -> str:
    loc, said = [str(part) for part in item["loc"] if part != "[key]"], mistakes.wrong(item)
    match item["type"]:
        case "missing":
            remedy = "Add it."
        case "extra_forbidden":
            remedy = _nearest(loc)
        case "string_type":
            remedy = "Put it in quotes."
        case "too_long":
            remedy = "Name fewer."
        case "string_pattern_mismatch" if loc[-1] == "url":
            # without the value: a password may be in it
            wanted = _REPOSITORY if loc[0] == "packages" else _EXAMPLES["url"]
            said, remedy = f"is not {wanted}", "Correct it; logins are the build machine's."
        case "string_pattern_mismatch":
            said, remedy = f"{item['input']!r} is not {_example(loc)}", "Correct it."
        case _:
            remedy = "Correct it."
    return f"{mistakes.place(item)}: {said}. {remedy}"


def _nearest(loc: list[str]) -> str:
    known = {"name", "version", "suite", "architecture", "packages", "images", "models", "roles", "sources"}
    known |= {"base", "all", "archive", "store", "modelfile", "path", "key", "suites", "components"}
    known |= {"model", "fallback", "context", "parallel", "control", "python", "threads", "system"}
    known |= {"parameters", *Parameters.model_fields}
    known |= {"files", "url", "sha256", "target", "mode", "group", "groups"}
    known |= {"objectives", *OBJECTIVES, "questions", *Question.model_fields, "pairs", *Pair.model_fields}
    if loc[0] == "roles" and loc[-1] in LOAD_PARAMETERS:
        instead = LOAD_PARAMETERS[loc[-1]]
        use = f"Use {instead} of the role." if instead else "Remove it."
        return f"Ollama would load the model anew at each change between roles. {use}"
    near = difflib.get_close_matches(loc[-1], known, n=1)
    return f"Did you mean {near[0]}?" if near else "Remove it."


def _example(loc: list[str]) -> str:
    if loc[0] == "images" and loc[-1] == "name":
        return _EXAMPLES["images"]
    return next((_EXAMPLES[part] for part in reversed(loc) if part in _EXAMPLES), "allowed here")


def _cross_checks(raw: Any) -> Iterator[str]:
    """What no single key shows. Works on what is there, so that it can be told beside other mistakes."""
    models, roles, images = (_mapping(raw, key) for key in ("models", "roles", "images"))
    models = models or dict.fromkeys(_texts(raw, "models"))
    for name, role in roles.items():
        model, fallback = _mapping(roles, name).get("model"), _texts(role, "fallback")
        asked = [("model", model), *((f"fallback.{n}", other) for n, other in enumerate(fallback))]
        for key, value in asked:
            if isinstance(value, str) and value not in models:
                known = ", ".join(map(str, models)) or "nothing"
                yield f"roles.{name}.{key}: {value} is not among models, which has {known}. Add it there."
        for twice in sorted({value for value in fallback if [model, *fallback].count(value) > 1}):
            yield f"roles.{name}.fallback: {twice} stands there twice, or is its model. Remove it."
        if f"{name}:latest" in models and model != f"{name}:latest":
            yield f"roles.{name}: Ollama would take it for the model {name}:latest. Give it another name."
        if model == f"{name}:latest" and {"system", "parameters"} & _mapping(roles, name).keys():
            yield f"roles.{name}: would change its model {model} under its own name. Give it another name."
    yield from _thread_checks(roles)
    for name in models:
        if len(places := [key for key in _MODEL_PLACES if key in _mapping(models, name)]) > 1:
            yield f"models.{name}: has {' and '.join(places)}. Keep one."
    for name in models:
        if isinstance(name, str) and (wrong := no_such_tag(name)):
            yield f"models.{name}: {wrong}. Correct it; a model of your own needs a name of its own."
    yield from _file_checks(_mapping(raw, "files"))
    if isinstance(raw, dict) and "roles" in raw and not roles:
        yield "roles: is empty. Name at least one, such as chat: {model: MODEL:TAG}."
    yield from _image_checks(raw, images)
    packages = _mapping(raw, "packages")
    for key in packages.keys() - set(_PACKAGE_KEYS):
        if near := difflib.get_close_matches(str(key), _PACKAGE_KEYS, n=1, cutoff=mistakes.TYPO):
            yield f"packages.{key}: would be the inventory group {key}. Did you mean {near[0]}?"
    sources = _mapping(packages, "sources")
    for name in sources:
        source = _mapping(sources, name)
        for needed in ("key", "suites"):
            place = next((place for place in ("path", "url") if source.get(place)), None)
            if place and not source.get(needed):
                yield f"packages.sources.{name}.{needed}: is missing beside {place}. Add it."
        if source.get("path") and source.get("url"):
            yield f"packages.sources.{name}: has path and url. Keep one."
        if source.get("key") and not source.get("path") and not source.get("url"):
            yield f"packages.sources.{name}.key: goes with path or url; Debian's is the machine's. Remove it."


def _thread_checks(roles: dict[Any, Any]) -> Iterator[str]:
    """Ollama would load a model anew at each change between roles that have other threads."""
    first: dict[str, Any] = {}
    for name in roles:
        role = _mapping(roles, name)
        for model in (role.get("model"), *_texts(role, "fallback")):
            other = first.setdefault(model, name) if isinstance(model, str) else name
            if role.get("threads") != (needed := _mapping(roles, other).get("threads")):
                yield (
                    f"roles.{name}.threads: is {role.get('threads', 'not there')}, but {other} has "
                    f"{needed or 'none'}, and {model} may answer both. It would be loaded anew at each "
                    "change between them. Give both the same."
                )


def _image_checks(raw: Any, images: dict[Any, Any]) -> Iterator[str]:
    if not isinstance(raw, dict) or "images" not in raw:
        return
    for service in SERVICES:
        if service.required and service.image_name not in images:
            yield f"images.{service.image_name}: is missing. Add it."
    known = list(dict.fromkeys(service.image_name for service in SERVICES))
    for name in images:
        if isinstance(name, str) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            remedy = f"Did you mean {near[0]}?" if near else f"There are {', '.join(known)}."
            yield f"images.{name}: is not the name of a service. {remedy}"


def _file_checks(files: dict[Any, Any]) -> Iterator[str]:
    targets: dict[str, Any] = {}
    for name in files:
        file = _mapping(files, name)
        if ("url" in file) == ("path" in file):
            yield f"files.{name}: needs url or path, one of them. Correct it."
        if "url" in file and "sha256" not in file:
            yield f"files.{name}.sha256: is missing beside url. Ask the publisher and add it."
        target = file.get("target")
        if not isinstance(target, str):
            continue
        for other, owner in targets.items():
            if f"{target}/".startswith(f"{other}/") or f"{other}/".startswith(f"{target}/"):
                yield f"files.{name}.target: {target} is in the way of {owner}, {other}. Name another."
        targets[target] = name


def _mapping(raw: Any, key: Any) -> dict[Any, Any]:
    value = raw.get(key) if isinstance(raw, dict) else None
    return value if isinstance(value, dict) else {}


def _texts(raw: Any, key: Any) -> list[str]:
    value = raw.get(key) if isinstance(raw, dict) else None
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
