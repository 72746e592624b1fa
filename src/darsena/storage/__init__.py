"""Bytes at rest: blobs, uploads, build sources and run logs behind four ports, encrypted per registry."""

from darsena.storage.keyfile import RootKeyFile
from darsena.storage.keyring import SYSTEM, KeyProvider, Keyring
from darsena.storage.layout import Layout
from darsena.storage.local import LocalStorage
from darsena.storage.port import BlobReader, BlobStore, LogStore, ObjectStore, Storage, StoredUpload, UploadStore

__all__ = [
    "SYSTEM",
    "BlobReader",
    "BlobStore",
    "KeyProvider",
    "Keyring",
    "Layout",
    "LocalStorage",
    "LogStore",
    "ObjectStore",
    "RootKeyFile",
    "Storage",
    "StoredUpload",
    "UploadStore",
]
