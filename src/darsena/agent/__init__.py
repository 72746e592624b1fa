"""The agent: claims runs from a server over HTTP, executes their steps with an engine, streams their logs."""
