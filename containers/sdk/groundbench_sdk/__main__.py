"""Entry point of an image: ``python -m groundbench_sdk module:AdapterClass``."""

import sys

from groundbench_sdk.runtime import command_line

sys.exit(command_line(sys.argv[1:]))
