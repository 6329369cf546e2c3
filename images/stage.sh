# shellcheck shell=bash
# Lays out what an image is built of under target/images/IMAGE, and names that content by a hash.

stage() {
  local image=$1 folder=$context/$1
  mkdir -p "$folder"
  case $image in
    operator) program "$image" ;;
    trainer)
      program "$image"
      place "$folder/lib" "$cache"/native/libtorch-*/lib/lib{torch_cpu,c10}.so \
        "$cache"/native/libtorch-*/lib/lib{gomp,cupti,cudart}.so.* \
        "$cache"/native/onnxruntime-*/libonnxruntime.so.*
      place "$folder/datasets/fashion-mnist" "$dataset"/*.gz
      ;;
    edge-agent)
      program "$image"
      place "$folder/lib" "$cache"/native/onnxruntime-*/libonnxruntime.so.*
      place "$folder/fashion-mnist" "$dataset"/t10k-*.gz
      ;;
    mosquitto) place "$folder" "$images_dir/mosquitto/mosquitto.conf" ;;
  esac
}

# Where Debian's package puts Fashion-MNIST.
dataset=/usr/share/datasets/fashion-mnist

program() {
  mkdir -p "$context/$1/bin"
  strip -o "$context/$1/bin/$1" "$repo/target/$profile/$1"
}

# place FOLDER FILE...: copies that keep the time, so that an unchanged file stays unchanged.
place() {
  mkdir -p "$1"
  cp --preserve=timestamps --update -t "$1" "${@:2}"
}

# Big files that only change with their version are named by size and time, the rest by content.
inputs_hash() {
  (
    cd "$context/$1" || exit
    echo "$base"
    cat "$images_dir/$1/Containerfile"
    find . -type f -size +1M ! -path './bin/*' -printf '%p %s %t\n' | sort
    find . -type f \( -size -1025k -o -path './bin/*' \) -exec sha256sum {} + | sort
  ) | sha256sum | cut -c1-16
}
