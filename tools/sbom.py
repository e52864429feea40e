"""Print the bill of materials of the image in whose Python this runs: CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/).

It names Debian's packages as dpkg knows them, and the Python packages of the app and of the container.
"""

import json
import os
import platform
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path
from urllib.parse import quote, urlencode

FIELDS = "${Package}\t${Version}\t${Architecture}\t${source:Package}\t${source:Version}\n"
PACKAGES = [f"{root}/lib/python3.{sys.version_info.minor}/site-packages" for root in ("/venv", "/opt/wsgi/venv")]


def component(kind: str, name: str, version: str, **qualifiers: str) -> dict[str, str]:
    """Return a library, with its package URL (https://github.com/package-url/purl-spec)."""
    purl = f"pkg:{kind}/{name}@{quote(version)}{'?' if qualifiers else ''}{urlencode(qualifiers)}"
    return {"type": "library", "bom-ref": purl, "name": name.rpartition("/")[2], "version": version, "purl": purl}


def debian_packages(distro: str) -> Iterator[dict[str, str]]:
    """Yield the packages of dpkg's database. Debian's security tracker knows them by their source, here `upstream`."""
    listed = subprocess.check_output(["dpkg-query", "--show", "--showformat", FIELDS], text=True)
    for line in listed.splitlines():
        name, version, arch, source, source_version = line.split("\t")
        upstream = f"{source}@{source_version}"
        yield component("deb", f"debian/{name}", version, arch=arch, distro=distro, upstream=upstream)


def python_packages() -> Iterator[dict[str, str]]:
    """Yield the packages of both virtual environments."""
    for each in distributions(path=PACKAGES):
        yield component("pypi", re.sub(r"[-_.]+", "-", each.name).lower(), each.version)


def main() -> None:
    """Print the document."""
    system = platform.freedesktop_os_release()
    found = [*debian_packages(f"{system['ID']}-{system['VERSION_ID']}"), *python_packages()]
    release, version = Path("/etc/debian_version").read_text().strip(), os.environ.get("APP_VERSION", "unknown")
    base = {"type": "operating-system", "bom-ref": "base", "name": system["ID"], "version": release}
    image = {"type": "container", "bom-ref": "image", "name": "wsgi", "version": version}
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid4()}",
        "version": 1,
        "metadata": {"timestamp": datetime.now(UTC).isoformat(timespec="seconds"), "component": image},
        # A package may be in both virtual environments.
        "components": [base, *{each["purl"]: each for each in found}.values()],
    }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
