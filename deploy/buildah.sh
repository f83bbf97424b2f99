#!/usr/bin/env bash
# Build the image of the newest Bento where no Docker runs: `make image-buildah`.
#
# Needs Debian 12, root, and `apt-get install buildah debootstrap python3-venv`. The base image is
# Debian with its own Python 3.11, made here, under the name of the one that the Bento asks for.
# Packages are fetched beforehand, by the same Python and with the caller's own pip settings; the
# build itself needs no network.
#
#   STORAGE=folder   where images are kept (var/containers)
#   DRIVER=name      of the storage; vfs works everywhere, and is slow (buildah's own choice)
#   MIRROR=address   of Debian's packages (debootstrap's own choice)
set -euo pipefail
cd "$(dirname "$0")/.."

STORAGE=$(realpath -m "${STORAGE:-var/containers}")
BASE=docker.io/library/python:3.11-slim
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

in_storage() {
  buildah ${DRIVER:+--storage-driver "$DRIVER"} --root "$STORAGE/images" --runroot "$STORAGE/run" "$@"
}

make_base() {
  local container root
  container=$(in_storage from scratch)
  root=$(in_storage mount "$container")
  debootstrap --variant=minbase --include=python3-venv,ca-certificates bookworm "$root" ${MIRROR:+"$MIRROR"}
  ln -s /usr/bin/python3 "$root/usr/local/bin/python"
  ln -s /usr/bin/python3 "$root/usr/local/bin/python3"
  rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/* \
    "$root"/usr/share/{doc,man,locale,info}/*
  in_storage config --env PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin --cmd python "$container"
  in_storage commit --quiet --rm "$container" "$BASE"
}

fetch_packages() {
  /usr/bin/python3 -m venv "$work/venv"
  "$work/venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --require-hashes -r requirements/runtime.txt --dest "$work/wheels"
  printf '[global]\nno-index = true\nfind-links = /mnt\n' > "$work/pip.conf"
}

unpack_bento() {  # with its models, which are not in the Bento's own folder
  mkdir "$work/bento"
  .venv/bin/bentoml export usdcop:latest "$work/bento.tar" > "$work/log"
  tar -xf "$work/bento.tar" -C "$work/bento"
}

in_storage inspect --type image "$BASE" > "$work/log" 2>&1 || make_base
fetch_packages
unpack_bento
version=$(sed -n 's/^version: //p' "$work/bento/bento.yaml")
in_storage build --format docker --isolation chroot --layers=false --pull-never \
  --secret id=pip,src="$work/pip.conf" --volume "$work/wheels:/mnt:ro" \
  --file "$work/bento/env/docker/Dockerfile" --tag "usdcop:$version" --tag usdcop:latest "$work/bento"
in_storage images usdcop
