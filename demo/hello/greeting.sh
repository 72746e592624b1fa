#!/bin/sh
# Print a greeting and where it was made.
echo "$1 from an image that Dársena built, stored and ran."
echo "Built on $(uname -sm) by $(id -un 2>/dev/null || id -u)."
