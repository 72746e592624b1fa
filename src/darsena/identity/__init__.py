"""Who asks and what they may: principals, credentials, role assignments, tokens, one decision. See `room`."""
