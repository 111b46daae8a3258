"""Families of changes: a Python script with untouched tools looks at the files that the agent left."""

from __future__ import annotations

import random
from collections.abc import Mapping

from cmat_env.envs.operating_system.generate.draft import Draft, Family, distinct, lines
from cmat_env.envs.operating_system.generate.words import Words


def _chmod(rng: random.Random, w: Words) -> Draft:
    folder, (name, other) = f"/root/{rng.choice(w.folders)}", distinct(rng, w, 2)
    mode = rng.choice(("600", "640", "700", "711", "750", "444"))
    return Draft(
        (f"Set the permissions of {folder}/{name} to {mode}, and leave {folder}/{other} as it is.",),
        lines(f"mkdir -p {folder}", f"cd {folder}", f"echo x > {name}; echo x > {other}", f"chmod 644 {name} {other}"),
        f"chmod {mode} {folder}/{name}",
        f"chmod {mode} {folder}/*",
        check=lines(
            "import os",
            f"modes = [os.lstat('{folder}/' + name).st_mode for name in ('{name}', '{other}')]",
            f"raise SystemExit(modes != [0o100000 | 0o{mode}, 0o100644])",
        ),
    )


def _chown(rng: random.Random, w: Words) -> Draft:
    folder, person = f"/srv/{rng.choice(w.folders)}", rng.choice(w.people)
    names = distinct(rng, w, 3)
    number = rng.randint(2000, 9000)
    return Draft(
        (f"Make {person} the owner of every file in {folder}; the group stays as it is.",),
        lines(
            f"echo '{person}:x:{number}:100::/home/{person}:/bin/bash' >> /etc/passwd",
            f"mkdir -p {folder}",
            f"cd {folder}; touch {' '.join(names)}",
        ),
        f"chown {person} {folder}/*",
        f"chown {person} {folder}",
        check=lines(
            "import os",
            f"found = [os.lstat('{folder}/' + name) for name in {names!r}]",
            f"raise SystemExit(any((each.st_uid, each.st_gid) != ({number}, 0) for each in found))",
        ),
    )


def _link(rng: random.Random, w: Words) -> Draft:
    folder, name = f"/root/{rng.choice(w.folders)}", distinct(rng, w, 1)[0]
    link = f"/root/{rng.choice(w.programs)}"
    return Draft(
        (f"Make {link} a symbolic link to {folder}/{name}, given with its full path.",),
        lines(f"mkdir -p {folder}", f"echo x > {folder}/{name}"),
        f"ln -s {folder}/{name} {link}",
        f"ln {folder}/{name} {link}",
        check=lines("import os", f"raise SystemExit(os.readlink('{link}') != '{folder}/{name}')"),
    )


def _extract(rng: random.Random, w: Words) -> Draft:
    folder, target = f"/root/{rng.choice(w.folders)}", f"/opt/{rng.choice(w.programs)}"
    names = distinct(rng, w, 4)
    numbers = [str(rng.randint(100, 999)) for _ in names]
    return Draft(
        (f"Unpack the archive {folder}.tar into the folder {target}, which does not exist yet.",),
        lines(
            "cd $(mktemp -d)",
            *(f"printf {number} > {name}" for name, number in zip(names, numbers, strict=True)),
            f"tar -cf {folder}.tar *",
        ),
        f"mkdir -p {target} && tar -xf {folder}.tar -C {target}",
        f"tar -xf {folder}.tar -C {target}",
        check=lines(
            "import os",
            f"wanted = {dict(zip(names, numbers, strict=True))!r}",
            f"raise SystemExit({{name: open('{target}/' + name).read() for name in os.listdir('{target}')}} != wanted)",
        ),
    )


def _replace(rng: random.Random, w: Words) -> Draft:
    path = f"/etc/{rng.choice(w.programs)}.conf"
    old, new, *rest = rng.sample(w.texts, 4)
    entries = [f"{name} = {rng.choice((old, *rest))}" for name in rng.sample(w.files, 6)] + [f"last = {old}"]
    wanted = [f"{key} = {new if value == old else value}" for key, _, value in (e.partition(" = ") for e in entries)]
    return Draft(
        (f"In {path}, replace the value {old} by {new} on every line, and change nothing else.",),
        lines(f"cat > {path} <<'END'", *entries, "END"),
        f"sed -i 's/ = {old}$/ = {new}/' {path}",
        f"sed -i '1 s/ = {old}$/ = {new}/' {path}",
        check=lines(f"raise SystemExit(open('{path}').read().split('\\n') != {[*wanted, '']!r})"),
    )


CHANGES: Mapping[str, Family] = {
    "chmod": _chmod,
    "ownership": _chown,
    "link": _link,
    "extract": _extract,
    "replace": _replace,
}
