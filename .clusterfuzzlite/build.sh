#!/bin/bash -eu
# SPDX-License-Identifier: MIT
# What is built is what OSS-Fuzz builds.
"$SRC/heaprig/fuzz/oss-fuzz/build_targets.sh"
