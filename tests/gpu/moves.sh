#!/usr/bin/env bash
# Movements without a route on a GPU: every element against the oracle, then times beside a copy of the same bytes.
# usage: tests/gpu/moves.sh FUSCOC
set -u
fuscoc=$1; p=examples/programs
export FUSCO_CACHE_DIR=${TMPDIR:-/tmp}/fusco-cache
one() { # name, megabytes read + written, run arguments
  local name=$1 mb=$2; shift 2
  "$fuscoc" run "$@" --backend cuda --random "$RANDOM" --repeat 60 ${verify:-} 2>&1 | awk -v n="$name" -v mb="$mb" '
    / ms / { for (i = 1; i < NF; ++i) if ($(i + 1) == "ms") { t = $i; if (t > 0) printf "%-20s %-12s %8.3f ms %7.0f GB/s\n", n, $1, t, mb / t } }
    /error|differ|oracle says|panicked/ { print n, $0 } /verified/ { print n, $0 }'
}
verify=--verify
one transpose-small 0 $p/reshard_transpose.fusco --entry main --set M=1024,N=512
one to_tiles-odd 0 $p/to_tiles.fusco --entry main --set M=24,C=256
one cyclic-odd 0 $p/cyclic_to_block.fusco --entry main --set M=37,N=29,LDB=8
one cyclic-uneven 0 $p/cyclic_to_block.fusco --entry main --set M=1000,N=777,LDB=200
one kv-small 0 $p/kv_migrate.fusco --entry main --set L=2,P=64,N=8,D=64,JMAX=8,RMAX=9 --dyn R=7
one dlrm 0 $p/dlrm.fusco --entry forward,lookup --set B=1024,D=64,LMAX=9
one partials 0 $p/partials.fusco --entry reduce_scatter,all_reduce --set M=1024,N=1024
one transpose-8192 268.435 $p/reshard_transpose.fusco --entry main --set M=8192,N=8192
one to_tiles 268.435 $p/to_tiles.fusco --entry main --set M=8192,C=8192
one cyclic_to_block 536.871 $p/cyclic_to_block.fusco --entry main --set M=8192,N=8192,LDB=2048
one ulysses 1073.742 $p/ulysses.fusco --entry to_heads,to_seq --feed a=p --set B=1,S=32768,N=64,D=128
verify=
one transpose-16384 1073.742 $p/reshard_transpose.fusco --entry main --set M=16384,N=16384
one partials 0 $p/partials.fusco --entry reduce_scatter,all_reduce --set M=8192,N=8192
python3 - <<'P'
import torch
for mb in (268.435456, 536.870912, 1073.741824):
    x = torch.randn(int(mb * 1e6 / 8), device="cuda"); y = torch.empty_like(x)
    for _ in range(5): y.copy_(x)
    a, b = (torch.cuda.Event(enable_timing=True) for _ in range(2)); a.record()
    for _ in range(60): y.copy_(x)
    b.record(); torch.cuda.synchronize(); t = a.elapsed_time(b) / 60
    print(f"copy {mb:9.3f} MB {t:8.3f} ms {mb / t:7.0f} GB/s")
P
