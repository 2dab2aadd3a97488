#!/usr/bin/env bash
# One command from download to verified shard set. The sources and their checksums: README.md beside it.
#
#   data_prep/hg38/prepare.sh hg38 DIR                     UCSC hg38, splits by hash of blocks
#   data_prep/hg38/prepare.sh hg38 DIR --split-by contig   anything after DIR goes to `hdna prep shards`
#   data_prep/hg38/prepare.sh hg38-ml DIR                  the FASTA and the train/valid/test intervals HyenaDNA used
#   data_prep/hg38/prepare.sh chm13 DIR | mm39 DIR
#   data_prep/hg38/prepare.sh NAME DIR URL MD5             any other genome; MD5 is a checksum, or the URL of a checksum file
#
# Run it again after an interruption: the download resumes, and finished parts are not remade.
set -euo pipefail

UCSC=https://hgdownload.soe.ucsc.edu/goldenPath
BASENJI=https://storage.googleapis.com/basenji_barnyard2

fail() {
  echo "prepare.sh: $1" >&2
  exit 1
}

usage() {
  sed -n '4,8s/^#   //p' "$0" >&2
  exit 2
}

fetch() { # URL FILE: the complete file, or nothing under its name
  local url=$1 file=$2
  [[ -f $file ]] && return
  echo "downloading $url"
  curl --fail --location --show-error --silent --retry 5 --continue-at - --output "$file.part" "$url" ||
    fail "$url: download failed (curl says why above); run the same command again to resume from byte $(size "$file.part")"
  mv "$file.part" "$file"
}

size() {
  if [[ -f $1 ]]; then wc -c <"$1" | tr -d ' '; else echo 0; fi
}

published_md5() { # SUMS_URL FILE_NAME FOLDER
  local sums=$3/md5sum.txt sum
  curl --fail --location --show-error --silent --retry 5 --output "$sums" "$1" || fail "$1: could not download the checksum file"
  sum=$(awk -v name="$2" '{ sub(/^\*?(.*\/)?/, "", $2) } $2 == name { print $1; exit }' "$sums")
  [[ -n $sum ]] || fail "$1: does not list $2"
  echo "$sum"
}

google_md5() { # URL: the bucket's md5 of its object, in hexadecimal
  local sum
  sum=$(curl --fail --location --silent --show-error --head "$1" | tr -d '\r' | sed -n 's/^x-goog-hash: *md5=//Ip') ||
    fail "$1: the bucket does not respond"
  [[ -n $sum ]] || fail "$1: the bucket reports no md5"
  echo "$sum" | base64 --decode | od -An -tx1 | tr -d ' \n'
}

check() { # FILE MD5
  local found
  found=$(md5 "$1")
  [[ $found == "$2" ]] || fail "$1: md5 $found, published $2: remove the file and run the same command again"
  echo "$1: md5 $2 as published"
}

md5() {
  if command -v md5sum >/dev/null; then md5sum <"$1" | cut -d ' ' -f 1; else command md5 -q "$1"; fi
}

[[ $# -ge 2 ]] || usage
name=$1 folder=$2
shift 2
splits=()
case $name in
  hg38) url=$UCSC/hg38/bigZips/hg38.fa.gz sum=1c9dcaddfa41027f17cd8f7a82c7293b ;;
  hg38-ml) url=$BASENJI/hg38.ml.fa.gz sum=google ;;
  chm13) url=$UCSC/hs1/bigZips/hs1.fa.gz sum=$UCSC/hs1/bigZips/md5sum.txt ;;
  mm39) url=$UCSC/mm39/bigZips/mm39.fa.gz sum=$UCSC/mm39/bigZips/md5sum.txt ;;
  *)
    [[ $# -ge 2 ]] || usage
    url=$1 sum=$2
    shift 2
    ;;
esac
command -v hdna >/dev/null || fail "hdna is not on the PATH: install it first (see the project's README)"
command -v curl >/dev/null || fail "curl is not on the PATH"

mkdir -p "$folder"
fasta=$folder/${url##*/}
fetch "$url" "$fasta"
case $sum in
  google) sum=$(google_md5 "$url") ;;
  *://*) sum=$(published_md5 "$sum" "${url##*/}" "$folder") ;;
esac
check "$fasta" "$sum"
if [[ $name == hg38-ml ]]; then
  bed=$folder/sequences_human.bed
  fetch "$BASENJI/sequences_human.bed" "$bed"
  check "$bed" "$(google_md5 "$BASENJI/sequences_human.bed")"
  splits=(--splits "$bed")
fi
[[ -f $folder/store.zarr/manifest.json ]] || hdna prep genome "$fasta" --out "$folder/store.zarr" --assembly "$name"
[[ -f $folder/shards/manifest.json ]] ||
  hdna prep shards "$folder/store.zarr" --out "$folder/shards" ${splits[@]+"${splits[@]}"} "$@"
hdna prep verify "$folder/store.zarr"
hdna prep verify "$folder/shards"
echo "ready: data.shards=[$folder/shards]"
