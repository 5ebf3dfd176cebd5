#!/usr/bin/env bash
# Makes Abseil's locks with ThreadSanitizer, once, from the source of the Debian package that is
# installed. The preset tsan needs them: its README.md says why.
#
#   bash tests/tsan/abseil.sh
#
# Prints the folder, ${XDG_CACHE_HOME:-$HOME/.cache}/bitquake/abseil-tsan-VERSION, which holds one
# library. Takes 2 MB from the Debian mirror that apt uses, and half a minute. Needs no root.
set -euo pipefail

version=$(dpkg-query -W -f '${Version}' libabsl-dev)
folder=${XDG_CACHE_HOME:-$HOME/.cache}/bitquake/abseil-tsan-${version//[^a-zA-Z0-9.]/-}
if compgen -G "$folder/libabsl_synchronization.so.*" >/dev/null; then
  printf '%s\n' "$folder"
  exit
fi

mkdir -p "$(dirname "$folder")"
staging=$(mktemp -d "$folder.XXXXXX")
trap 'rm -rf "$staging"' EXIT
mkdir -p "$staging"/{sources.list.d,lists/partial,library}
apt-get indextargets --format 'deb-src $(REPO_URI) $(RELEASE) $(COMPONENT)' \
  'Created-By: Packages' 'Origin: Debian' | sort -u >"$staging/sources.list.d/debian.list"
apt=(apt-get -q -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$staging/sources.list.d"
  -o "Dir::State::Lists=$staging/lists" -o "Dir::Cache=$staging" -o APT::Sandbox::User=)
{
  "${apt[@]}" update
  cd "$staging"
  "${apt[@]}" source "libabsl-dev=$version"
  # As the package is built, but for the sanitizer.
  cmake -G Ninja -S abseil-*/ -B build -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_STANDARD=17 \
    -DBUILD_SHARED_LIBS=ON -DCMAKE_CXX_FLAGS="-fsanitize=thread -fno-omit-frame-pointer" \
    -DCMAKE_SHARED_LINKER_FLAGS=-fsanitize=thread -DCMAKE_SKIP_RPATH=ON -Wno-dev
  cmake --build build --target synchronization --parallel "${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}"
} >&2
cp -P build/absl/synchronization/libabsl_synchronization.so.* "$staging/library"
[ -d "$folder" ] || mv "$staging/library" "$folder"
printf '%s\n' "$folder"
