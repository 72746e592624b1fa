"""Repositories, manifests, tags, blobs and uploads of a registry: what the data plane is about."""
