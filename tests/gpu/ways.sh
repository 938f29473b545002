#!/usr/bin/env bash
# Whether the way that the compiler chooses for a dispatch is the quicker one: 40 shapes on two devices.
# usage: [TOKENS="1 8"] tests/gpu/ways.sh FUSCOC [DEVICES]
set -u
fuscoc=$1; devices=${2:-0,1}; ranks=$(tr , '\n' <<<"$devices" | wc -l); here=$(dirname "$0")
table=$(mktemp)
for tokens in ${TOKENS:-1 8 32 128 512 2048 4096 8192}; do
    # Experts, choices, hidden: more rows than a device holds are left out.
    for layer in "256 8 7168" "64 1 7168" "64 4 4096" "8 2 16384" "128 6 512"; do
        read -r experts choices hidden <<<"$layer"
        echo -n "$tokens $layer " >>"$table"
        "$fuscoc" bench "$here/ways.fusco" --entry pushed,fetched,chosen --no-verify --repeat 10 --devices "$devices" --json "$table.json" \
            --set "G=$ranks,E=$experts,K=$choices,H=$hidden,TMAX=$tokens" --dyn "T=$tokens" --random 5 >/dev/null 2>"$table.err" || cat "$table.err"
        python3 -c 'import json, sys; print(*(row["ms"]["median"] for row in json.load(open(sys.argv[1]))["rows"]))' "$table.json" >>"$table"
    done
done
awk '
BEGIN { print "tokens experts choices hidden   pushed fetched  chosen, us   over the quicker" }
{ best = $5 < $6 ? $5 : $6; over = $7 / best - 1; if (over <= .05) near++; if (over > most) most = over
  printf "%6d %7d %7d %6d %8.1f %7.1f %7.1f %17.1f %%\n", $1, $2, $3, $4, $5 * 1e3, $6 * 1e3, $7 * 1e3, over * 100 }
END { printf "%d of %d within 5 %%, the worst %.1f %% over\n", near, NR, most * 100 }' "$table"
