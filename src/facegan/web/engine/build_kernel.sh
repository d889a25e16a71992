#!/bin/sh
# Build the kernel with clang 14 and its lld (Debian 12: apt install clang lld). kernel-simd.wasm is what browsers since 2021
# run; kernel-plain.wasm is the same code without SIMD, for older ones.
set -eu
cd "$(dirname "$0")"
out="${1:-.}"
flags="--target=wasm32 -nostdlib -O3 -ffreestanding -Wall -Wextra -Wl,--no-entry -Wl,--import-memory -Wl,--strip-all -Wl,-z,stack-size=4096"
clang $flags -msimd128 -o "$out/kernel-simd.wasm" kernel.c
clang $flags -o "$out/kernel-plain.wasm" kernel.c
