#!/bin/sh
# Installs the C and C++ interface: headers, both libraries, and what CMake and pkg-config need to find them.
#
#     ffi/install.sh PREFIX [PROFILE]      PROFILE of cargo, "release" unless said
#
# Everything is found relative to the installed files: the folder may be moved as a whole. The packages bear the version
# of the interface, TICKFUSE_ABI_VERSION in tickfuse.h. For systems with ELF libraries, such as Linux.
set -eu
case "$#-${1-}" in
1-[!-]* | 2-[!-]*) ;;
*)
    echo "usage: install.sh PREFIX [PROFILE]" >&2
    exit 2
    ;;
esac
profile=${2:-release}
mkdir -p "$1/include" "$1/lib/pkgconfig" "$1/lib/cmake/tickfuse"
prefix=$(cd "$1" && pwd)
cd "$(dirname "$0")"

version=$(sed -n 's/^#define TICKFUSE_ABI_VERSION 0x//p' include/tickfuse.h)
major=$((0x$version >> 16))
minor=$((0x$version & 0xffff))

if [ "$profile" = dev ]; then
    cargo build --package tickfuse-ffi --lib
else
    # One kind of library at a time: only then is each optimised together with the core. The threshold keeps the shared one small; what
    # an answer calls on its way is inlined by name.
    for kind in staticlib cdylib; do
        cargo rustc --package tickfuse-ffi --lib --profile "$profile" --crate-type $kind -- -C llvm-args=-inline-threshold=25
    done
fi
target=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
[ "$profile" != dev ] || profile=debug
built=$target${CARGO_BUILD_TARGET:+/$CARGO_BUILD_TARGET}/$profile

# Both libraries without what only debuggers read. A file in use is replaced, never overwritten.
place() {
    install -m "$2" "$1" "$3.new"
    [ -z "${4-}" ] || strip "$4" "$3.new"
    mv -f "$3.new" "$3"
}
filled() {
    sed -e "s/@MAJOR@/$major/g" -e "s/@MINOR@/$minor/g" "$1" >"$2"
}

for header in include/*; do
    place "$header" 644 "$prefix/$header"
done
place "$built/libtickfuse.a" 644 "$prefix/lib/libtickfuse.a" --strip-debug
place "$built/libtickfuse.so" 755 "$prefix/lib/libtickfuse.so.$major.$minor" --strip-unneeded
ln -sf "libtickfuse.so.$major.$minor" "$prefix/lib/libtickfuse.so.$major"
ln -sf "libtickfuse.so.$major" "$prefix/lib/libtickfuse.so"
filled cmake/tickfuse.pc.in "$prefix/lib/pkgconfig/tickfuse.pc"
filled cmake/tickfuse-config.cmake.in "$prefix/lib/cmake/tickfuse/tickfuse-config.cmake"
filled cmake/tickfuse-config-version.cmake.in "$prefix/lib/cmake/tickfuse/tickfuse-config-version.cmake"
echo "tickfuse $major.$minor in $prefix"
