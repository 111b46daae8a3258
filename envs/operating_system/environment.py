"""What programs in a sandbox find in their environment, and what root may do there."""

from __future__ import annotations

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "USER": "root",
    "LOGNAME": "root",
    "SHELL": "/bin/bash",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
}
TRUSTED_ENVIRONMENT = {
    **ENVIRONMENT,
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin",
    "PYTHONNOUSERSITE": "1",
    "PYTHONSAFEPATH": "1",
}
COMMAND_FOLDERS = ("bin", "sbin", "local/bin", "local/sbin")
"""In /usr: where commands are."""
CODE_FOLDERS = (
    "bin", "sbin", "lib", "lib32", "lib64", "libx32", "libexec", "share", "local", "etc", "games", "include",
)  # fmt: skip
"""In /usr and /usr/local: where programs and their parts are looked for."""
CAPABILITIES = {
    "CAP_CHOWN": 0, "CAP_DAC_OVERRIDE": 1, "CAP_FOWNER": 3, "CAP_FSETID": 4, "CAP_KILL": 5, "CAP_SETGID": 6,
    "CAP_SETUID": 7, "CAP_NET_BIND_SERVICE": 10,
}  # fmt: skip
