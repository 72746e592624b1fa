"""One call of Helm's own code in a process of its own: what `helm` does, without its command line.

    helm_client.py login HOST USER PASSWORD | logout HOST | push ARCHIVE REMOTE | pull REF VERSION FOLDER
                 | show REF WHAT | tags REF | resolve REF | version

The library is Go's: it reads the CA from SSL_CERT_FILE as the program does, so that this runs with an environment of
its own. Sign-ins are kept in the file that HELM_REGISTRY_CONFIG names.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import helm_python as helm


def main(action: str, *arguments: str) -> Any:
    if action == "version":
        return helm.helm_sdk_version()
    with helm.RegistryClient(credentials_file=os.environ["HELM_REGISTRY_CONFIG"]) as client:
        match action, arguments:
            case "login", (host, user, password):
                return client.login(host, user, password)
            case "logout", (host,):
                return client.logout(host)
            case "push", (archive, remote):
                return client.push(archive, remote)
            case "pull", (reference, version, folder):
                return client.pull(reference, version=version, destination=folder)
            case "show", (reference, what):
                return client.show(reference, output_format=what)
            case "tags", (reference,):
                return client.tags(reference)
            case "resolve", (reference,):
                return client.resolve(reference)
    raise SystemExit(f"{action} {arguments}: {__doc__}")


if __name__ == "__main__":
    try:
        print(json.dumps(main(*sys.argv[1:])))
    except helm.HelmError as error:
        sys.exit(f"{type(error).__name__}: {error}")
