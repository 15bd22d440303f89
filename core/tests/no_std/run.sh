#!/bin/sh
# Builds the program without std, runs it, and checks that nothing of std is in it.
#
#   core/tests/no_std/run.sh            CARGO_TARGET_DIR is respected
set -eu
here=$(cd "$(dirname "$0")" && pwd)
target=${CARGO_TARGET_DIR:-$here/target}/no_std

cargo build --release --locked --manifest-path "$here/Cargo.toml" --target-dir "$target"
program=$target/release/tickfuse-no-std

"$program" || { echo "no_std: expected exit code 0, found $?" >&2; exit 1; }

# Crates are path components of a demangled name: `std::`, but not `core::std_something`.
symbols=$(nm --demangle "$program")
if ! printf '%s\n' "$symbols" | grep -q 'tickfuse_core::'; then
    echo "no_std: expected symbols of tickfuse_core, found none: the check below would prove nothing" >&2
    exit 1
fi
if printf '%s\n' "$symbols" | grep -E '(^|[^A-Za-z0-9_:])std::'; then
    echo "no_std: expected no symbol of std, found those above" >&2
    exit 1
fi
echo "no_std: every level answers as the oracle does; no symbol of std is linked"
