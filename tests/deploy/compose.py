"""Checks what `docker compose config` would, and that each mounted file is there."""

import pathlib
import sys

import yaml

path = pathlib.Path(sys.argv[1])
document = yaml.safe_load(path.read_text())
services = document["services"]
wrong = []


def says(service, what):
    wrong.append(f"{service}: {what}")


for name, service in services.items():
    image = service.get("image", "")
    if "build" in service:
        context = path.parent / service["build"]["context"]
        if not (context / service["build"]["dockerfile"]).is_file():
            says(name, f"there is no {service['build']['dockerfile']} to build")
    elif ":" not in image or image.endswith(":latest"):
        says(name, f"the image {image} has no version")
    for other, on in dict(service["depends_on"] if isinstance(service.get("depends_on"), dict)
                          else dict.fromkeys(service.get("depends_on", []), {})).items():
        if other not in services:
            says(name, f"depends_on: there is no service {other}")
        elif on.get("condition") == "service_healthy" and "healthcheck" not in services[other]:
            says(name, f"depends_on: {other} has no healthcheck")
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        if source.startswith("."):
            if not (path.parent / source).is_file():
                says(name, f"volumes: there is no {source}")
        elif source not in document.get("volumes", {}):
            says(name, f"volumes: there is no volume {source}")
    for port in service.get("ports", []):
        if not port.startswith("127.0.0.1:"):
            says(name, f"ports: {port} is open to the network")
    for argument in service.get("command", []):
        stream = argument.removeprefix("/etc/mfn-connect/streams/")
        if stream != argument and not (path.parent / "../../config" / stream).is_file():
            says(name, f"command: the image has no stream {stream}")

print("\n".join(wrong) or f"{path}: {len(services)} services, nothing wrong")
sys.exit(bool(wrong))
