"""The configuration files of one Milvus 2.3.5 test server: what it is shipped with, and changes."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tests.support.seaweedfs import SeaweedFS

Settings = dict[str, object]

HOST = "127.0.0.1"

# Milvus polls itself. The intervals are shorter than its own because tests wait for each of them;
# what happens, and in which order, is the same.
FAST: Settings = {
    "dataCoord": {"segment": {"assignmentExpiration": 200}},  # a flush waits it out; 2000 ms
    "queryCoord": {"checkInterval": 200, "distPullInterval": 100},  # loading; 1000 and 500 ms
}

# Compactions are those that a test asks for, and end when it looks: Milvus looks every second whether
# one has ended, not every 10 s, and begins none by itself that would meet the test's own.
COMPACTIONS_ON_DEMAND: Settings = {
    "dataCoord": {"compaction": {"enableAutoCompaction": False, "check": {"interval": 1}}}
}


class Ports(NamedTuple):
    """The ports of one Milvus, all on one host; `proxy` is the one for clients."""

    proxy: int
    metrics: int
    etcd: int
    etcd_peer: int
    proxy_internal: int
    root_coord: int
    query_coord: int
    query_node: int
    index_node: int
    data_coord: int
    data_node: int


def merged(base: Settings, over: Mapping[str, object]) -> Settings:
    """Return `base` with the values of `over`, section by section."""
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, Mapping):
            result[key] = merged(old, value)
        else:
            result[key] = value
    return result


def milvus_settings(ports: Ports, directory: Path, *, session_ttl: int) -> Settings:
    """Return the settings of the server itself, its data below `directory`."""
    return {
        "etcd": {
            "endpoints": f"{HOST}:{ports.etcd}",
            "use": {"embed": True},
            "data": {"dir": str(directory / "etcd")},
            "config": {"path": str(directory / "configs" / "etcd.yaml")},
        },
        "localStorage": {"path": str(directory / "local")},
        "mq": {"type": "rocksmq"},
        "rocksmq": {"path": str(directory / "rocksmq")},
        "common": {"session": {"ttl": session_ttl}},
        "proxy": {
            "ip": HOST,
            "port": ports.proxy,
            "internalPort": ports.proxy_internal,
            "http": {"enabled": True},
        },
        "rootCoord": {"ip": HOST, "port": ports.root_coord},
        "queryCoord": {"ip": HOST, "port": ports.query_coord},
        "queryNode": {"ip": HOST, "port": ports.query_node},
        "indexNode": {"ip": HOST, "port": ports.index_node},
        "dataCoord": {"ip": HOST, "port": ports.data_coord},
        "dataNode": {"ip": HOST, "port": ports.data_node},
    }


def storage_settings(seaweed: SeaweedFS, bucket: str, root_path: str) -> Settings:
    """Return the settings that put Milvus's data into a bucket of an S3 server."""
    return {
        "common": {"storageType": "minio"},
        "minio": {
            "address": seaweed.host,
            "port": seaweed.port,
            "accessKeyID": seaweed.access_key,
            "secretAccessKey": seaweed.secret_key,
            "useSSL": False,
            "bucketName": bucket,
            "rootPath": root_path,
        },
    }


def as_environment(settings: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    """Return the environment variables that win over the same settings in milvus.yaml."""
    variables: dict[str, str] = {}
    for key, value in settings.items():
        name = f"{prefix}{key}".upper()
        if isinstance(value, Mapping):
            variables |= as_environment(value, f"{name}_")
        else:
            variables[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return variables


def _etcd_settings(ports: Ports, directory: Path) -> Settings:
    client, peer = (f"http://{HOST}:{port}" for port in (ports.etcd, ports.etcd_peer))
    return {
        "name": "default",
        "data-dir": str(directory / "etcd"),
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"default={peer}",
        "log-level": "warn",
        "log-outputs": [str(directory / "etcd.log")],
        # A killed process loses nothing that it had written; only a dead machine would.
        "unsafe-no-fsync": True,
    }


def write_configuration(directory: Path, ports: Ports, template: Path) -> Path:
    """Write the files that MILVUSCONF points at, and return their directory.

    The main one is the configuration that Milvus is shipped with, `template`, whose places
    `{{ name: default }}` get their defaults.
    """
    configs = directory / "configs"
    configs.mkdir(parents=True, exist_ok=True)
    shipped = re.sub(r"\{\{[^:}]*:?\s*([^}]*?)\s*\}\}", r"\1", template.read_text())
    (configs / "milvus.yaml").write_text(shipped)
    # JSON is YAML.
    (configs / "etcd.yaml").write_text(json.dumps(_etcd_settings(ports, directory), indent=2))
    (configs / "glog.conf").write_text("--logtostderr=true\n--minloglevel=1\n")
    return configs
