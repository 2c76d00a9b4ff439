"""Who owns which field of a Kubernetes object: server-side apply, as its documentation specifies it.

https://kubernetes.io/docs/reference/using-api/server-side-apply/. A field's path is a tuple of the keys of `fieldsV1`:
`f:spec`, or `k:{"name":"x"}` for the item of a list that is a map by that key. Other lists have one owner.
"""

import copy
import json
from typing import Any

Manifest = dict[str, Any]
Path = tuple[str, ...]

# Lists that are maps, by the field that holds them and by what tells their items apart.
LIST_KEYS = {
    "containers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "containerPort": ("containerPort", "protocol"),
    "port": ("port", "protocol"),
}
UNOWNED = {("f:apiVersion",), ("f:kind",), ("f:metadata", "f:name"), ("f:metadata", "f:namespace")}
SERVERS_OWN = ("managedFields", "resourceVersion", "uid", "generation", "creationTimestamp")


class ApplyConflictError(Exception):
    """Another manager owns a field with another value, and force was not asked for."""


def keys_of(name: str, items: list[Any]) -> tuple[str, ...] | None:
    """What tells the items of the list `name` apart; None for a list with one owner."""
    if not items or not all(isinstance(item, dict) for item in items):
        return None
    if name == "ports":
        name = next((key for key in ("containerPort", "port") if key in items[0]), "")
    keys = LIST_KEYS.get(name)
    return keys if keys and all(keys[0] in item for item in items) else None


def item_key(keys: tuple[str, ...], item: Manifest) -> str:
    """The path element of an item."""
    return "k:" + json.dumps({key: item[key] for key in keys if key in item}, separators=(",", ":"))


def leaves(value: Any, path: Path = ()) -> dict[Path, Any]:
    """Each owned path with its value; an item of a list has a path of its own, with None."""
    found: dict[Path, Any] = {}
    if isinstance(value, dict) and value:
        for name, child in value.items():
            found |= leaves(child, (*path, f"f:{name}"))
    elif isinstance(value, list) and (keys := keys_of(path[-1][2:], value)):
        for item in value:
            here = (*path, item_key(keys, item))
            found |= {here: None} | leaves(item, here)
    elif path not in UNOWNED:
        found[path] = value
    return found


def content(manifest: Manifest) -> dict[Path, Any]:
    """The paths of what a client writes."""
    metadata = {name: value for name, value in manifest["metadata"].items() if name not in SERVERS_OWN}
    return leaves(
        {name: value for name, value in manifest.items() if name != "status"} | {"metadata": metadata}
    )


def encode(paths: set[Path]) -> Manifest:
    """`fieldsV1` of paths."""
    tree: Manifest = {}
    for path in sorted(paths):
        node = tree
        for element in path:
            node = node.setdefault(element, {})
        if path[-1].startswith("k:"):
            node["."] = {}
    return tree


def decode(tree: Manifest, path: Path = ()) -> set[Path]:
    """Paths of `fieldsV1`."""
    found: set[Path] = set()
    for element, child in tree.items():
        if element == ".":
            found.add(path)
        else:
            found |= decode(child, (*path, element)) if child else {(*path, element)}
    return found


def owners(manifest: Manifest) -> dict[tuple[str, str], set[Path]]:
    """Paths by manager and operation."""
    return {
        (entry["manager"], entry["operation"]): decode(entry["fieldsV1"])
        for entry in manifest["metadata"].get("managedFields", [])
    }


def with_owners(manifest: Manifest, owned: dict[tuple[str, str], set[Path]]) -> Manifest:
    """`manifest` with these managed fields, less those that it does not have."""
    there = content(manifest).keys()
    manifest["metadata"]["managedFields"] = [
        {
            "manager": manager, "operation": operation, "apiVersion": manifest["apiVersion"],
            "fieldsType": "FieldsV1", "fieldsV1": encode(paths & there),
        }
        for (manager, operation), paths in owned.items() if paths & there
    ]  # fmt: skip
    return manifest


def merged(live: Any, applied: Any, name: str = "") -> Any:
    """`live` with all that `applied` sets."""
    if isinstance(live, dict) and isinstance(applied, dict):
        return live | {key: merged(live.get(key), value, key) for key, value in applied.items()}
    if isinstance(applied, list) and isinstance(live, list) and (keys := keys_of(name, applied)):
        items = {item_key(keys, item): item for item in live}
        for item in applied:
            items[item_key(keys, item)] = merged(items.get(item_key(keys, item)), item)
        return list(items.values())
    return copy.deepcopy(applied)


def without(value: Any, gone: set[Path], path: Path = ()) -> Any:
    """`value` less the paths that are gone, and what is empty then."""
    if isinstance(value, dict):
        kept = {
            name: without(child, gone, (*path, f"f:{name}"))
            for name, child in value.items()
            if (*path, f"f:{name}") not in gone
        }
        return {name: child for name, child in kept.items() if child not in ({}, []) or child == value[name]}
    if isinstance(value, list) and path and (keys := keys_of(path[-1][2:], value)):
        return [
            without(item, gone, (*path, item_key(keys, item)))
            for item in value
            if (*path, item_key(keys, item)) not in gone
        ]
    return value


def apply(live: Manifest | None, applied: Manifest, manager: str, *, force: bool) -> Manifest:
    """The object after a server-side apply."""
    wanted = content(applied)
    if live is None:
        return with_owners(copy.deepcopy(applied), {(manager, "Apply"): set(wanted)})
    current, owned = content(live), owners(live)
    us = (manager, "Apply")
    taken = {path for path, value in wanted.items() if path in current and current[path] != value}
    others = {key: paths for key, paths in owned.items() if key != us}
    if not force and any(paths & taken for paths in others.values()):
        raise ApplyConflictError
    others = {key: paths - taken for key, paths in others.items()}
    gone = owned.get(us, set()) - wanted.keys() - set().union(*others.values())
    return with_owners(merged(without(live, gone), applied), others | {us: set(wanted)})


def update(live: Manifest | None, new: Manifest, manager: str) -> Manifest:
    """The object after a write that replaces it: `manager` owns what it has changed."""
    before, after = content(live) if live else {}, content(new)
    changed = {path for path, value in after.items() if path not in before or before[path] != value}
    owned = owners(new)
    us = (manager, "Update")
    others = {key: paths - changed for key, paths in owned.items() if key != us}
    return with_owners(new, others | {us: owned.get(us, set()) | changed})
