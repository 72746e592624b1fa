"""Values that every room shares: digests, names, descriptors, errors, ids, time. No I/O, no imports from us."""
