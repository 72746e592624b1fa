#!/bin/sh
# Print a greeting and where it was made.
echo "$1 from an image that Dársena built, stored and ran."
echo "Built on $(uname -sm) by the user with the id $(id -u)."
