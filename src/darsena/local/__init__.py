"""What runs on this machine only: the supervisor of `serve`, the data folder, certificates, `trust`, `doctor`."""
