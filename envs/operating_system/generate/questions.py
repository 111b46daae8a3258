"""Families of questions: the answer is worked out in Python and compared in our own process."""

from __future__ import annotations

import random
from collections.abc import Mapping

from cmat_env.envs.operating_system.generate.draft import Draft, Family, distinct, lines, number_lines
from cmat_env.envs.operating_system.generate.words import Words


def _count(rng: random.Random, w: Words) -> Draft:
    folder, ending, other = f"/root/{rng.choice(w.folders)}", *rng.sample(w.endings, 2)
    right = [f"{stem}.{ending}" for stem in rng.sample(w.files, rng.randint(2, 6))]
    deep = [f"sub/{stem}.{ending}" for stem in rng.sample(w.files, rng.randint(1, 3))]
    wrong = [f"{stem}.{other}" for stem in rng.sample(w.files, rng.randint(1, 5))]
    recursive = rng.random() < 0.5
    where = f"in {folder} and all its sub-folders" if recursive else f"directly in {folder}, not in its sub-folders"
    depth, other_depth = ("", " -maxdepth 1") if recursive else (" -maxdepth 1", "")
    return Draft(
        (f"How many files ending in .{ending} are {where}?", f"Count the .{ending} files {where}."),
        lines(f"mkdir -p {folder}/sub", f"cd {folder}", f"touch {' '.join([*right, *deep, *wrong])}"),
        f"find {folder}{depth} -type f -name '*.{ending}' | wc -l",
        f"find {folder}{other_depth} -type f -name '*.{ending}' | wc -l",
        str(len(right) + len(deep) * recursive),
    )


def _find(rng: random.Random, w: Words) -> Draft:
    folder, word = f"/root/{rng.choice(w.folders)}", rng.choice(w.texts)
    names = distinct(rng, w, 6)
    secret = "".join(rng.choice("0123456789abcdef") for _ in range(8))
    target = rng.randrange(6)
    writes = [
        f"echo '{word} {secret}' > a/b/{name}" if i == target else f"echo '- {i}' > a/{name}"
        for i, name in enumerate(names)
    ]
    return Draft(
        (
            f"Somewhere below {folder} one file contains the word '{word}'. What is its name, without the folder?",
            f"Which file below {folder} contains '{word}'? Give its name alone.",
        ),
        lines(f"mkdir -p {folder}/a/b", f"cd {folder}", *writes),
        f"basename $(grep -rl {word} {folder})",
        f"grep -rl {word} {folder}",
        names[target],
    )


def _permissions(rng: random.Random, w: Words) -> Draft:
    folder, name = f"/root/{rng.choice(w.folders)}", distinct(rng, w, 1)[0]
    mode = rng.choice(("600", "640", "644", "700", "711", "750", "755", "444"))
    return Draft(
        (f"What are the permissions of {folder}/{name}, as three octal digits?",),
        lines(f"mkdir -p {folder}", f"echo x > {folder}/{name}", f"chmod {mode} {folder}/{name}"),
        f"stat -c %a {folder}/{name}",
        f"stat -c %A {folder}/{name}",
        mode,
    )


def _text(rng: random.Random, w: Words) -> Draft:
    path, word = f"/var/log/{rng.choice(w.files)}.log", rng.choice(w.texts)
    others = [text for text in w.texts if text != word]
    kinds = [rng.choice((word, *others)) for _ in range(rng.randint(12, 40))]
    entries = [f"{i:03d} {kind} {rng.choice(others)}" for i, kind in enumerate(kinds)]
    return Draft(
        (
            f"How many lines of {path} have '{word}' as their second field? Fields are separated by blanks.",
            f"Count the lines of {path} whose second word is '{word}'.",
        ),
        lines(f"cat > {path} <<'END'", *entries, "END"),
        f"awk '$2 == \"{word}\"' {path} | wc -l",
        f"awk '$3 == \"{word}\"' {path} | wc -l",
        str(kinds.count(word)),
    )


def _sum(rng: random.Random, w: Words) -> Draft:
    path = f"/root/{rng.choice(w.files)}.csv"
    numbers = [rng.randint(1, 500) for _ in range(rng.randint(5, 25))]
    return Draft(
        (f"{path} has lines of the form name,number. What is the sum of the numbers?",),
        lines(f"cat > {path} <<'END'", *(f"{rng.choice(w.files)},{number}" for number in numbers), "END"),
        f"awk -F, '{{s += $2}} END {{print s}}' {path}",
        f"awk '{{s += $2}} END {{print s}}' {path}",
        str(sum(numbers)),
    )


def _disk(rng: random.Random, w: Words) -> Draft:
    folder = f"/home/{rng.choice(w.folders)}"
    names = distinct(rng, w, 5)
    sizes = rng.sample(range(1_000, 60_000), 5)
    largest = rng.random() < 0.5
    word, flag, other_flag = ("largest", "-nr", "-n") if largest else ("smallest", "-n", "-nr")
    pick = max(sizes) if largest else min(sizes)
    return Draft(
        (f"Which file in {folder} is the {word} in bytes? Give its name alone.",),
        lines(
            f"mkdir -p {folder}",
            *(f"head -c {size} /dev/zero > {folder}/{name}" for name, size in zip(names, sizes, strict=True)),
        ),
        f"find {folder} -type f -printf '%s %f\\n' | sort {flag} | head -1 | cut -d' ' -f2",
        f"find {folder} -type f -printf '%s %f\\n' | sort {other_flag} | head -1 | cut -d' ' -f2",
        names[sizes.index(pick)],
    )


def _processes(rng: random.Random, w: Words) -> Draft:
    name, other = rng.sample(w.programs, 2)
    count, others = rng.randint(1, 5), rng.randint(1, 3)
    begin = "(exec -a {0} sleep 100000) </dev/null >/dev/null 2>&1 &"
    return Draft(
        (f"How many processes have '{name}' as the first word of their command line?",),
        lines(*[begin.format(name)] * count, *[begin.format(other)] * others, "true"),
        f"ps -eo args | awk '$1 == \"{name}\"' | wc -l",
        f"ps -eo comm | awk '$1 == \"{name}\"' | wc -l",
        str(count),
    )


def _environment(rng: random.Random, w: Words) -> Draft:
    name = f"{rng.choice(w.texts)}_{rng.choice(w.folders)}".upper()
    value = f"{rng.choice(w.files)}-{rng.randint(10, 999)}"
    return Draft(
        (f"Login shells of this machine set the variable {name}. What is its value?",),
        f"echo 'export {name}={value}' > /etc/profile.d/{rng.choice(w.programs)}.sh",
        f"bash --login -c 'echo ${name}'",
        f"grep -h {name} /etc/profile.d/*",
        value,
    )


def _archives(rng: random.Random, w: Words) -> Draft:
    names = distinct(rng, w, rng.randint(3, 8))
    path = f"/root/{rng.choice(w.folders)}.tar.gz"
    numbers = [rng.randint(1, 99) for _ in names]
    target = rng.randrange(len(names))
    return Draft(
        (f"The archive {path} holds a file {names[target]} with a number in it. Which number?",),
        lines(
            "cd $(mktemp -d)",
            *(f"echo {number} > {name}" for name, number in zip(names, numbers, strict=True)),
            f"tar -czf {path} *",
        ),
        f"tar -xzOf {path} {names[target]}",
        f"tar -xzOf {path}",
        str(numbers[target]),
    )


def _links(rng: random.Random, w: Words) -> Draft:
    folder = f"/srv/{rng.choice(w.folders)}"
    names = distinct(rng, w, 4)
    target = rng.randrange(4)
    return Draft(
        (
            f"{folder}/current is a chain of symbolic links. What is the name of the file at its end, without folder?",
            f"Follow the symbolic links from {folder}/current. Which file, by name alone, is at the end?",
        ),
        lines(
            f"mkdir -p {folder}",
            f"cd {folder}",
            f"touch {' '.join(names)}",
            f"ln -s {names[target]} step2",
            "ln -s step2 step1",
            "ln -s step1 current",
        ),
        f"basename $(readlink -f {folder}/current)",
        f"basename $(readlink {folder}/current)",
        names[target],
    )


def _users(rng: random.Random, w: Words) -> Draft:
    people = rng.sample(w.people, 4)
    shells = [rng.choice(("/bin/bash", "/usr/sbin/nologin")) for _ in people]
    asked = rng.randrange(4)
    number = rng.randint(2000, 9000)
    entries = [
        f"{name}:x:{number + i}:100::/home/{name}:{shell}"
        for i, (name, shell) in enumerate(zip(people, shells, strict=True))
    ]
    return Draft(
        (f"What is the numeric user id of {people[asked]} on this machine?",),
        lines("cat >> /etc/passwd <<'END'", *entries, "END"),
        f"id -u {people[asked]}",
        f"id -g {people[asked]}",
        str(number + asked),
    )


def _cron(rng: random.Random, w: Words) -> Draft:
    jobs = rng.sample(w.programs, 3)
    hours, minutes = rng.sample(range(24), 3), rng.sample(range(60), 3)
    asked = rng.randrange(3)
    entries = [f"{m} {h} * * * root /opt/{job}.sh" for job, h, m in zip(jobs, hours, minutes, strict=True)]
    path = f"/etc/cron.d/{rng.choice(w.folders)}"
    return Draft(
        (f"{path} is a crontab. At which hour (0 to 23) does /opt/{jobs[asked]}.sh run?",),
        lines(f"mkdir -p /etc/cron.d; cat > {path} <<'END'", *entries, "END"),
        f"awk '$7 == \"/opt/{jobs[asked]}.sh\" {{print $2}}' {path}",
        f"awk '$7 == \"/opt/{jobs[asked]}.sh\" {{print $1}}' {path}",
        str(hours[asked]),
    )


def _unique(rng: random.Random, w: Words) -> Draft:
    path = f"/root/{rng.choice(w.files)}.txt"
    numbers = [rng.randint(1, 20) for _ in range(rng.randint(10, 40))]
    return Draft(
        (f"How many different lines does {path} have?",),
        f"printf '%s\\n' {number_lines(numbers)} > {path}",
        f"sort -u {path} | wc -l",
        f"sort {path} | wc -l",
        str(len(set(numbers))),
    )


QUESTIONS: Mapping[str, Family] = {
    "count": _count,
    "find": _find,
    "permissions": _permissions,
    "text": _text,
    "sum": _sum,
    "disk": _disk,
    "processes": _processes,
    "environment": _environment,
    "archives": _archives,
    "links": _links,
    "users": _users,
    "cron": _cron,
    "unique": _unique,
}
