#!/bin/sh
# Make the nano model: sh run_all.sh [SEED] [STAGE1_MINUTES] [STAGE2_MINUTES] [OUT_DIR]
#
# From nothing: speak the sentences, train on short windows, then on long ones, export, measure.
# From a checkpoint (stage 1 is left out, stage 2 is the "more" recipe):
#
#     FROM=OUT_DIR/long/best.pt sh run_all.sh 2 0 75 OTHER_DIR
#
# Environment: PYTHON (python3) has requirements.txt installed; FROM, a checkpoint;
# SENTENCES (14000), sentences a shard and language; HELDOUT (800), held-out sentences;
# CLIPS, WINDOWS, RECORDINGS (60, 12, 4), how much to measure on, for each language;
# CANDIDATES (12), demo recordings to choose from.
set -eu

absolute() { case $1 in /*) echo "$1" ;; *) echo "$PWD/$1" ;; esac; }

seed=${1:-1}
stage1=${2:-45}
stage2=${3:-30}
out=$(absolute "${4:-out}")
python=${PYTHON:-python3}
sentences=${SENTENCES:-14000}
data=$out/data
from=${FROM:+$(absolute "$FROM")}
cd "$(dirname "$0")"

if ! command -v espeak-ng >/dev/null; then
    echo "espeak-ng is missing: apt-get install espeak-ng libespeak-ng1" >&2
    exit 1
fi

step() { echo "== $*"; "$python" "$@"; }

# Two shards as the grammar draws them, two with lists of nouns and numbers three times as often.
if [ ! -f "$data/train_3.jsonl" ]; then
    step synthesise.py --out "$data" --seed "$seed" --sentences "$sentences" \
        --heldout "${HELDOUT:-800}"
    step synthesise.py --out "$data" --seed "$((seed + 1))" --sentences "$((sentences * 6 / 7))" \
        --heldout 0 --first-shard 2 --lists 3
fi

if [ -n "$from" ]; then
    step train.py --data "$data" --out "$out/more" --recipe more --minutes "$stage2" \
        --seed "$((seed + 200))" --from "$from"
    checkpoint=$out/more/best.pt
else
    step train.py --data "$data" --out "$out/short" --recipe short --minutes "$stage1" \
        --seed "$seed"
    step train.py --data "$data" --out "$out/long" --recipe long --minutes "$stage2" \
        --seed "$((seed + 100))" --from "$out/short/final.pt"
    checkpoint=$out/long/best.pt
fi

step export.py --checkpoint "$checkpoint" --out "$out"
step evaluate.py --out "$out" --data "$data" --clips "${CLIPS:-60}" --windows "${WINDOWS:-12}" \
    --recordings "${RECORDINGS:-4}"
step recordings.py demo --model "$out/ct2-int8" --out "$out" --candidates "${CANDIDATES:-12}"
echo "The model is in $out/ct2-int8, its figures in $out/figures.json."
