"""Write the page of variables, docs/variables.md, or check it.

Runs in the environment of requirements/docs.txt; scripts/docs prepares it.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from antsibull_docs_parser import dom
from antsibull_docs_parser.parser import Context, parse

ROOT = Path(__file__).resolve().parent.parent
PAGE = Path("docs/variables.md")
# A role's argument spec must name it, or an invalid list would fail with another message
# than ours. A default computes it, and no inventory sets it.
COMPUTED = {"mlflow_project_records"} | {
    f"mlflow_account_check_{name}" for name in ("names", "step", "outcome", "evidence")
}
# A role describes a variable of another one by a reference to it.
BORROWED = re.compile(r"(As for|See) \[")
# Where the page links to for a role or plugin.
PLACES = {"role": "../roles/{}/README.md", "module": "../plugins/modules/{}.py"}
REMEDY = "run scripts/docs"
HEAD = """\
# Variables

Set these in the inventory, for example in `group_vars/mlflow_servers.yml`. `x[].y` is the key `y` of each
entry of `x`. `scripts/docs` generates this page from the roles' argument specs.
"""
# The page's sections, in order, and what the names of their variables begin with. The first
# that matches counts.
TOPICS = {
    "Projects": r"mlflow_(projects|base_port|state_dir)\b",
    "Backend": r"mlflow_(backend|local_backend)",
    "CloudFormation stacks": r"mlflow_stack_(?!host)",
    "EC2 hosts": r"mlflow_stack_host",
    "Image and registry": r"mlflow_(image|ecr)_",
    "Schemas and database users": r"mlflow_project_",
    "Servers": r"mlflow_(server_(?!docker|container|memory|aws|base_python|install)|state_dir)",
    "Docker runtime": r"mlflow_server_(docker|container|memory|aws)",
    "Process runtime": r"mlflow_(server_(base_python|install)|installation)",
    "Database tunnel": r"mlflow_database_tunnel",
    "Front door": r"mlflow_(door|members)",
    "Verification": r"mlflow_verify_",
    "Verification of an account": r"mlflow_account_check_|confirm\b",
    "Backups, restores and upgrades": r"mlflow_(data|backup)_",
    "Report of the projects": r"mlflow_status_",
    "Imports": r"mlflow_import_",
    "Removal": r"mlflow_destroy_",
    "Rolling updates": r"mlflow_(serial|max_fail|fleet)",
}

# What a section begins with.
NOTES = {
    "Projects": "See [Projects](projects.md).",
    "CloudFormation stacks": "See the [templates](../cloudformation/README.md) for their parameters.",
    "EC2 hosts": "See [Hosts on EC2](aws.md#hosts-on-ec2).",
    "Database tunnel": "See [Database tunnel](hosts.md#database-tunnel).",
    "Report of the projects": "See [Status](day-two.md#status).",
    "Verification of an account": "See [Verify an account](aws.md#verify-an-account).",
    "Rolling updates": "See [Rolling updates](hosts.md#rolling-updates), also for `mlflow_serial`.",
}


class DocsError(Exception):
    """One sentence for the user."""


@dataclass(frozen=True)
class Variable:
    """One row of a table; default and meaning are Markdown."""

    name: str
    type: str
    default: str
    meaning: str


def read_yaml(path: Path) -> Any:
    """Read a YAML file of the checkout."""
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def roles() -> list[str]:
    """Return the roles in the order in which the playbook deploy calls them, then the others."""
    there = sorted(path.parent.parent.name for path in ROOT.glob("roles/*/meta/argument_specs.yml"))
    called = re.findall(
        r"\.(mlflow_\w+)$", (ROOT / "playbooks/deploy.yml").read_text(), re.MULTILINE
    )
    return sorted(there, key=lambda role: called.index(role) if role in called else len(called))


def playbooks() -> list[Path]:
    """Return the playbooks of the collection."""
    return [path.relative_to(ROOT) for path in sorted(ROOT.glob("playbooks/*.yml"))]


def handed_over(node: Any) -> Iterator[str]:
    """Yield the variables that a playbook computes for its roles, and no inventory sets."""
    if isinstance(node, list):
        for item in node:
            yield from handed_over(item)
    elif isinstance(node, dict):
        given = node.get("vars") or {}
        yield from (name for name, value in given.items() if "{{" in str(value))
        yield from handed_over([*node.values()])


def variables() -> list[Variable]:
    """Return what an inventory may set, each variable once, keys of entries below their list."""
    found: dict[str, Variable] = {}
    internal = COMPUTED | set(handed_over([read_yaml(path) for path in playbooks()]))
    for role in roles():
        specs = read_yaml(Path("roles") / role / "meta/argument_specs.yml")["argument_specs"]
        for spec in specs.values():
            options = {k: v for k, v in spec.get("options", {}).items() if k not in internal}
            for row in rows(options, ""):
                # A role that borrows a variable may be called before the one that owns it.
                if row.name not in found or BORROWED.match(found[row.name].meaning):
                    found[row.name] = row
    return list(found.values())


def rows(options: dict[str, Any], prefix: str) -> Iterator[Variable]:
    """Yield the rows of these options and of the options inside them."""
    for name, option in options.items():
        kind = option.get("type", "str")
        yield Variable(prefix + name, type_text(option), default_text(option), meaning(option))
        inner = f"{prefix}{name}{'[]' if kind == 'list' else ''}."
        yield from rows(option.get("options", {}), inner)


def type_text(option: dict[str, Any]) -> str:
    """Name the option's type, for a list with the type of its elements."""
    kind = str(option.get("type", "str"))
    return f"{kind} of {option.get('elements', 'str')}" if kind == "list" else kind


def default_text(option: dict[str, Any]) -> str:
    """Return the default as one would write it in an inventory."""
    if option.get("required"):
        return "required"
    default = option.get("default")
    if default is None:
        return "none"
    if isinstance(default, str) and default:
        return f"`{default}`"
    return f"`{json.dumps(default)}`"


def meaning(option: dict[str, Any]) -> str:
    """Return the description as one line of Markdown, with the choices."""
    description = option["description"]
    text = [description] if isinstance(description, str) else description
    parsed = parse(text, Context(), errors="exception")
    sentences = ["".join(map(markdown, paragraph)).strip() for paragraph in parsed]
    choices = [f"`{choice}`" for choice in option.get("choices", [])]
    if len(choices) == 1:
        sentences.append(f"Only {choices[0]} in this release.")
    elif not all(choice in " ".join(sentences) for choice in choices):
        sentences.append(f"One of {', '.join(choices)}.")
    return " ".join(sentences)


def markdown(part: dom.AnyPart) -> str:
    """Return one piece of Ansible's markup as Markdown that is safe in a table's cell."""
    match part:
        case dom.TextPart():
            return re.sub(r"([\\`*_|<\[\]])", r"\\\1", part.text)
        case dom.CodePart():
            return f"`{part.text}`"
        case dom.EnvVariablePart():
            return f"`{part.name}`"
        case dom.OptionNamePart():
            return f"`{part.name}`" if part.value is None else f"`{part.name}: {part.value}`"
        case dom.OptionValuePart():
            return f"`{part.value}`"
        case dom.PluginPart():
            name = part.plugin.fqcn.rpartition(".")[2]
            place = PLACES.get(part.plugin.type)
            return f"[`{name}`]({place.format(name)})" if place else f"`{name}`"
    raise DocsError(f"{part.source or part} is in an argument spec; add it to {__file__}.")


def topic(variable: Variable) -> str:
    """Return the section of the page that a variable belongs to."""
    for title, pattern in TOPICS.items():
        if re.match(pattern, variable.name):
            return title
    raise DocsError(f"{variable.name} has no section; add it to TOPICS in {__file__}.")


def page() -> str:
    """Return the page of variables."""
    sections: dict[str, list[Variable]] = {title: [] for title in TOPICS}
    for variable in variables():
        sections[topic(variable)].append(variable)
    notes = {title: f"{note}\n\n" for title, note in NOTES.items()}
    parts = [
        f"## {title}\n\n{notes.get(title, '')}{table(found)}"
        for title, found in sections.items()
        if found
    ]
    return "\n".join([HEAD, *parts])


def table(found: list[Variable]) -> str:
    """Return variables as a Markdown table."""
    lines = ["| Variable | Type | Default | Description |", "| --- | --- | --- | --- |"]
    lines += [f"| `{row.name}` | {row.type} | {row.default} | {row.meaning} |" for row in found]
    return "\n".join(lines) + "\n"


def bring_page(check: bool) -> bool:
    """Write the page of variables, or check it; return whether it is up to date now."""
    text, file = page(), ROOT / PAGE
    if file.is_file() and file.read_text(encoding="utf-8") == text:
        return True
    if check:
        print(f"{PAGE} is out of date; {REMEDY}.", file=sys.stderr)
        return False
    file.write_text(text, encoding="utf-8")
    print(f"{PAGE}: written")
    return True


def main() -> int:
    """Write, or check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, fail if out of date")
    try:
        return 0 if bring_page(parser.parse_args().check) else 1
    except DocsError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
