"""Compares the index values of resources with what fhirpathpy selects by HL7's own expressions.

    python oracle.py [FOLDER] [--dump FILE]

FOLDER is by default what oracle.mjs has generated. As there, with another engine and rules of reading that were
written anew (readings.py); canonical units are compared there alone.
"""

import argparse
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import fhirpathpy
from fhirpathpy.models import models

from readings import readings

HERE = Path(__file__).resolve().parent
MODEL = models["r4"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", default=HERE / "generated", type=Path)
    parser.add_argument("--dump", type=Path)
    options = parser.parse_args()
    by_type = parameters_by_type()
    lines, compiled = Lines(options.folder), {}
    counts = dict.fromkeys(["resources", "refused", "compared", "values", "different"], 0)
    for text in dump(options).splitlines():
        found = json.loads(text)
        if "refused" in found:
            counts["refused"] += 1
            continue
        counts["resources"] += 1
        resource = json.loads(lines.of(found["file"], found["line"]))
        for parameter in [*by_type.get(found["type"], []), *common(found["type"], by_type)]:
            compare(found, resource, parameter, compiled, counts)
    print(
        "{resources} resources: {values} values of {compared} parameters compared; {refused} resources refused, "
        "{different} differences".format(**counts)
    )
    return 0 if counts["different"] == 0 and counts["values"] > 0 else 1


def compare(found, resource, parameter, compiled, counts):
    if parameter["kind"] == "composite":
        own = composites(resource, parameter, compiled)
    else:
        own = readings(parameter, list(select(resource, parameter["alternatives"], compiled)), resource)
    expected = {json.dumps(value) for value in own}
    values = found["values"].get(parameter["code"], [])
    actual = {json.dumps(value) for value in values if value[0] != "canonical"}
    if expected or actual:
        counts["compared"] += 1
        counts["values"] += len(actual)
    if expected == actual:
        return
    place = f"{found['type']}?{parameter['code']}"
    counts["different"] += 1
    print(f"different: {found['file']}:{found['line']} {place}")
    for value in sorted(expected - actual):
        print(f"  fhirpathpy has {value}")
    for value in sorted(actual - expected):
        print(f"  Lethe has      {value}")


def composites(resource, parameter, compiled):
    """All combinations of what the components hold in each of the root elements."""
    base = parameter["base"]
    for expression, _ in parameter["alternatives"]:
        roots = [base]
        if expression != base:
            roots = [f"{expression}[{at}]" for at, _ in enumerate(select(resource, [(expression, None)], compiled))]
        for root in roots:
            values = []
            for component in parameter["components"]:
                kind, inner = component.split(": ")
                inside = [f"{root}.{text.strip()}".replace(f"{root}.%resource", base) for text in inner.split("|")]
                selected = select(resource, [alternative(text) for text in inside], compiled)
                read = readings({"code": "", "kind": kind}, list(selected), resource)
                values.append([value for facet, value in read if facet == "value"])
            for combination in itertools.product(*values):
                yield ["value", list(combination)]


def select(resource, alternatives, compiled):
    """The nodes that expressions select: data, datatype, and the only type of target that counts."""
    for expression, only_target in alternatives:
        evaluate = compiled.get(expression)
        if evaluate is None:
            evaluate = compiled[expression] = fhirpathpy.compile(expression, MODEL, {"returnRawData": True})
        for node in evaluate(resource):
            if hasattr(node, "get_type_info"):
                yield node.data, node.get_type_info().name, only_target
            else:
                yield node, type(node).__name__, only_target


def common(resource_type, by_type):
    """The parameters of all types. The engine does not know a resource by the name `Resource`."""
    for parameter in by_type["Resource"]:
        alternatives = [(text.replace("Resource.", f"{resource_type}.", 1), only) for text, only in parameter["alternatives"]]
        yield {**parameter, "alternatives": alternatives}


def parameters_by_type():
    by_type = {}
    for line in (HERE / "parameters.tsv").read_text().splitlines():
        code, kind, bases, expression, *components = line.split("\t")
        if code in ("_id", "_lastUpdated"):
            continue
        for base in bases.split(","):
            alternatives = []
            for text in expression.split("|"):
                head = re.match(r"\(?(\w+)", text.strip()).group(1)
                if head in (base, "Resource", "DomainResource") or head[0].islower():
                    alternatives.append(alternative(text.strip()))
            parameter = {"code": code, "kind": kind, "base": base, "alternatives": alternatives, "components": components}
            by_type.setdefault(base, []).append(parameter)
    return by_type


def alternative(text):
    """Two forms are written otherwise. `where(resolve() is T)` asks for other resources: the text of the reference decides instead. HL7 applies
    `as` to lists, which engines refuse: each item is asked. (This engine's `ofType` does not know that a canonical is a uri.)"""
    only = re.search(r"\.where\(resolve\(\) is (\w+)\)$", text)
    text = text[: only.start()] if only else text
    text = re.sub(r"\((\S+) as (\w+)\)", r"\1.select($this as \2)", text)
    text = re.sub(r"\.as\((\w+)\)", r".select($this as \1)", text).replace("as DateTime", "as dateTime")
    return text, only and only.group(1)


class Lines:
    """Resources of a folder; of a list of them, the lines are kept."""

    def __init__(self, folder):
        self.folder, self.name, self.lines = folder, None, []

    def of(self, name, line):
        if name != self.name:
            text = (self.folder / name).read_text(encoding="utf-8-sig")
            self.name, self.lines = name, text.split("\n") if name.endswith(".ndjson") else [text]
        return self.lines[line - 1]


def dump(options):
    if options.dump:
        return options.dump.read_text()
    command = ["cargo", "run", "--quiet", "-p", "lethe-search", "--example", "dump_index_values", str(options.folder.resolve())]
    return subprocess.run(command, cwd=HERE, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
