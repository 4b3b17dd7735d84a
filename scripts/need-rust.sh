#!/bin/sh
# Stop with an explanation where the extension cannot be built.
need=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
if ! have=$(cargo --version 2>/dev/null); then
    echo "error: packhouse builds a Rust extension, and cargo was not found" >&2
    echo "hint: install Rust $need or newer with rustup (see rustup.rs), then open a new shell or: . \"\$HOME/.cargo/env\"" >&2
    exit 1
fi
have=$(echo "$have" | cut -d' ' -f2)
oldest=$(printf '%s\n%s\n' "$need" "$have" | sort -V | head -n1)
if [ "$oldest" != "$need" ]; then
    echo "error: packhouse needs Rust $need or newer, this is cargo $have" >&2
    echo "hint: rustup update stable" >&2
    exit 1
fi
if ! command -v "${CC:-cc}" >/dev/null 2>&1; then
    echo "error: a C compiler is needed (zstd is C), and ${CC:-cc} was not found" >&2
    echo "hint: on Debian and Ubuntu: apt-get install build-essential; on macOS: xcode-select --install" >&2
    exit 1
fi
for tool in "$@"; do
    if ! cargo "$tool" --version >/dev/null 2>&1; then
        echo "error: cargo $tool was not found" >&2
        echo "hint: rustup component add $(echo "$tool" | sed 's/^fmt$/rustfmt/')" >&2
        exit 1
    fi
done
