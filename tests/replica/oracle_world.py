"""The oracle's datasets as a world of the simulator: `oracle_world.py FOLDER DATASET...`, the world on stdout."""

import base64
import importlib.util
import json
import math
import sys
from pathlib import Path

folder = Path(sys.argv[1])
sys.path.insert(0, str(folder))


def value_of(value):
    """A value, with what JSON cannot say as the world file says it."""
    if type(value).__name__ == "Raw":
        return {"$base64": base64.b64encode(value.encode(errors="surrogateescape")).decode()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"$number": {"inf": "Infinity", "-inf": "-Infinity"}.get(str(value), "NaN")}
    if isinstance(value, dict):
        return {name: value_of(inner) for name, inner in value.items()}
    return [value_of(inner) for inner in value] if isinstance(value, list) else value


def table_of(table):
    versions = dict.fromkeys(commit.version for commit in table.history)
    return {
        "namespace": table.namespace,
        "name": table.name,
        "rowsPerPart": table.rows_per_part,
        "twice": type(table).__name__ == "Doubled",
        "key": table.key,
        "schemas": [
            {
                "version": version,
                "title": table.schema(version)["title"],
                "value": table.value(version),
                "required": table.required(version),
            }
            for version in versions
        ],
        "commits": [
            {
                "at": commit.at,
                "version": commit.version,
                "changes": [{"key": value_of(change.key), "value": value_of(change.value)} for change in commit.changes],
            }
            for commit in table.history
        ],
    }


def tables_of(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return [table_of(table) for table in module.TABLES]


datasets = [folder / "datasets" / name for name in sys.argv[2:]]
json.dump({"tables": [table for path in datasets for table in tables_of(path)]}, sys.stdout)
