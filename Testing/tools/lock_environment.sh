#!/bin/sh
# Renews what pins the Python of the extension's own: TuckerSeg/Resources/Environment/packages.txt and uv.txt, from
# requirements.txt beside them. Needs uv and a network; called from the checkout.
set -eu
folder=TuckerSeg/Resources/Environment
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

# TotalSegmentator's tables are used, and none of what it depends on besides.
cat > "$work/uv.toml" <<EOF
[[dependency-metadata]]
name = "totalsegmentator"
version = "2.18.0"
requires-dist = []
EOF
{
    sed 's/#.*//' "$folder/requirements.txt" | grep -v -i '^\(torch\|nnunetv2\|totalsegmentator\)[>=]'
    cat "$folder/torch.txt"
    # Later versions need torchvision, whose build would have to fit PyTorch's.
    printf 'nnunetv2==2.6.0\nTotalSegmentator==2.18.0\n'
} > "$work/wanted.txt"
lock() {
    uv pip compile --config-file "$work/uv.toml" --universal --python-version 3.11 --generate-hashes \
        --no-annotate --no-header --quiet "$@"
}
lock "$work/wanted.txt" --output-file "$work/all.txt"
# PyTorch's own build brings what runs it on a GPU; which one fits is found out on the user's computer.
without=$(sed -n 's/^\(\(torch\|triton\|nvidia-[a-z0-9-]*\|cuda-[a-z0-9-]*\)\)==.*/--no-emit-package \1/p' "$work/all.txt")
# shellcheck disable=SC2086
lock $without "$work/wanted.txt" --output-file "$folder/packages.txt"
echo uv > "$work/uv.txt"
lock "$work/uv.txt" --output-file "$folder/uv.txt"
