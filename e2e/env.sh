# shellcheck shell=bash
# What cargo needs to build and test this workspace outside make: `source e2e/env.sh` (after `make native`).
# LIBTORCH is read by the build of torch-sys, HAIZEN_MODELS by tests, the two others when a program starts.
native=${HAIZEN_CACHE:-$HOME/.cache/haizen}/native
export LIBTORCH=$native/libtorch-2.13.0
export HAIZEN_MODELS=${HAIZEN_CACHE:-$HOME/.cache/haizen}/models
export ORT_DYLIB_PATH=$native/onnxruntime-1.32.0/libonnxruntime.so
export LD_LIBRARY_PATH=$LIBTORCH/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
unset native
