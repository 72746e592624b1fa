"""Runs: scheduled, queued, claimed by agents, logged, ended; their build sources and signed addresses."""
