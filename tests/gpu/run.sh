#!/usr/bin/env bash
# Everything that needs a GPU, in one call: correctness on traces and odd shapes, times beside a copy, sanitizers.
# usage: [PARTS="programs tests sanitizers misuse random times devices"] tests/gpu/run.sh FUSCOC [TEST_BINARY...]
set -u
fuscoc=$1; shift; tests=("$@")
t=examples/traces; p=examples/programs
export FUSCO_CACHE_DIR=${TMPDIR:-/tmp}/fusco-cache
say() { printf '\n== %s\n' "$*"; }
run() { "$fuscoc" run "$@" --backend cuda 2>&1 | tail -n "${lines:-1}"; }
parts() { case " ${PARTS:-programs tests sanitizers misuse random times devices} " in *" $1 "*) ;; *) false ;; esac; }
moe() { run $p/moe.fusco --entry dispatch,combine --feed z=y --random "$RANDOM" --verify "$@"; }

say machine; "$fuscoc" doctor; nvidia-smi --query-gpu=name,driver_version --format=csv,noheader
if parts programs; then
say "traces, H = 384: every element against the oracle"
moe --set G=8,E=256,K=8,H=384,TMAX=4096 --dyn T=4096 --in topk=$t/e256_k8_r8.safetensors:topk_idx --in w=$t/e256_k8_r8.safetensors:topk_weight
moe --set G=4,E=128,K=8,H=384,TMAX=4096 --dyn T=4096 --in topk=$t/e128_k8_r4.safetensors:topk_idx --in w=$t/e128_k8_r4.safetensors:topk_weight
moe --set G=2,E=8,K=2,H=384,TMAX=2048 --dyn T=2048 --in topk=$t/e8_k2_r2.safetensors:topk_idx --in w=$t/e8_k2_r2.safetensors:topk_weight
run $p/moe_capacity.fusco --entry dispatch --set E=256,H=384,C=128,TMAX=4096 --dyn T=4096 --random "$RANDOM" --verify --in topk=$t/e256_k8_r8.safetensors:topk_idx
run $p/local_permute.fusco --entry permute --set E=256,H=384,TMAX=32768 --dyn T=32768 --random "$RANDOM" --verify --in topk=$t/e256_k8_r8.safetensors:topk_idx
say "owners that a tensor names"
owners() { run tests/gpu/moe_owners.fusco --entry dispatch,combine,weigh,dispatch_bwd,combine_bwd --feed z=y --feed grad_y=y --random "$RANDOM" --verify "$@"; }
owners --set G=8,P=256,K=8,H=7168,TMAX=512 --dyn T=512,100,0,511,512,1,77,512
owners --set G=3,P=7,K=3,H=96,TMAX=40 --dyn T=40,0,17
run tests/gpu/capacity_owners.fusco --entry dispatch --set G=4,E=9,H=384,C=128,TMAX=900 --dyn T=900,0,517,64 --random "$RANDOM" --verify
say "rows that are fetched once"
fetched() { run tests/gpu/fetched.fusco --entry dispatch,again,changed --random "$RANDOM" --verify "$@"; }
fetched --set G=4,E=13,H=1032,D=64,TMAX=370,K=4 --dyn T=370,0,5,200
fetched --set G=2,E=64,H=7168,D=2048,TMAX=4096,K=8 --dyn T=4096,3000
fetched --set G=8,E=16,H=2048,D=64,TMAX=300,K=32 --dyn T=300,0,5,200,1,2,3,299
once() { run tests/gpu/once_a_rank.fusco --entry dispatch,combine --feed z=y --random "$RANDOM" --verify "$@"; }
once --set G=3,E=6,K=3,H=72,TMAX=20 --dyn T=20,0,11
once --set G=2,E=64,K=8,H=7168,TMAX=1000 --dyn T=1000,999
levels() { run examples/programs/moe_two_level.fusco --entry dispatch,combine --feed z=y --random "$RANDOM" --verify "$@"; }
levels --set N=2,G=4,E=64,K=8,H=4096,TMAX=300 --dyn T=300,0,3,77,299,5,1,300
levels --set N=3,G=2,E=12,K=4,H=72,TMAX=20 --dyn T=20,3,0,1,19,20
turns() { run tests/gpu/balanced.fusco --entry dispatch,combine --feed z=y --random "$RANDOM" --verify "$@"; }
turns --set N=2,G=4,E=64,K=8,H=4096,TMAX=300 --dyn T=300,0,3,77,299,5,1,300
turns --set N=3,G=2,E=12,K=4,H=72,TMAX=20 --dyn T=20,3,0,1,19,20
run tests/gpu/moe_tight.fusco --entry dispatch,combine --feed z=y --random "$RANDOM" --verify --set G=2,E=10,K=4,H=16384,TMAX=900 --dyn T=900,5
run tests/gpu/tree.fusco --entry dispatch,combine,shared,folds,points --feed z=y --set N=2,G=2,K=4,E=12,H=72,TMAX=9 --dyn T=9,0,1,7 --random "$RANDOM" --verify
say "odd shapes"
moe --set G=3,E=9,K=2,H=24,TMAX=40 --dyn T=40,0,1
moe --set G=1,E=6,K=6,H=8,TMAX=1 --dyn T=1
moe --set G=8,E=256,K=8,H=7168,TMAX=512 --dyn T=512,100,0,511,512,1,77,512
run $p/moe_ep_tp.fusco --entry dispatch,combine,dispatch_bwd,combine_bwd --feed z=y --feed grad_y=y --set G=4,TP=2,E=64,K=4,H=4096,TMAX=700 --dyn T=700,0,1,513 --random "$RANDOM" --verify
run $p/moe_ep_tp.fusco --entry dispatch,combine,dispatch_bwd,combine_bwd --feed z=y --feed grad_y=y --set G=3,TP=2,E=9,K=3,H=96,TMAX=40 --dyn T=40,0,17 --random "$RANDOM" --verify
batch() { run $p/moe_batch.fusco --entry dispatch,combine --feed z=y --random "$RANDOM" --verify "$@"; }
batch --set G=4,E=10,K=3,H=7168,B=3,S=412
batch --set G=3,E=9,K=2,H=24,B=5,S=15
shared() { run $p/moe_shared.fusco --entry dispatch,combine,biased,dispatch_bwd,combine_bwd --feed z=y --feed grad_y=y --random "$RANDOM" --verify "$@"; }
shared --set G=4,E=6,K=2,H=7168,TMAX=900,OWNER=[2,0,3,2,0,2] --dyn T=900,0,517,64
shared --set G=3,E=5,K=3,H=96,TMAX=40,OWNER=[2,2,2,2,2] --dyn T=40,0,17
run $p/moe_capacity.fusco --entry dispatch --set E=64,H=384,C=128,TMAX=4096 --dyn T=4096,0,1,300,4000,17,4096,5 --random 7 --verify
run $p/local_permute.fusco --entry permute --set E=256,H=384,TMAX=4096 --dyn T=4096 --random 7 --verify
run $p/local_permute.fusco --entry permute --set E=16,H=4096,TMAX=512 --dyn T=300 --random 7 --verify
moe --set G=4,E=16,K=3,H=16384,TMAX=64 --dyn T=64,1,0,33
moe --set G=3,E=9,K=5,H=2056,TMAX=300 --dyn T=300,0,17
moe --set G=3,E=9,K=5,H=4104,TMAX=900 --dyn T=900,0,517
moe --set G=2,E=16,K=3,H=16384,TMAX=1100 --dyn T=1100,1
fi
if parts tests; then
# One test at a time: worlds in parts, and a consumer that waits, hold multiprocessors while they wait.
for binary in "${tests[@]}"; do say "$(basename "$binary")"; "$binary" --test-threads=1 --skip ui:: gpu_ 2>&1 | tail -n 20; done
fi
if parts sanitizers; then
say "compute-sanitizer, small shapes"
clean() {
  for tool in memcheck racecheck "synccheck --num-cuda-barriers 16384"; do
    # shellcheck disable=SC2086 # a tool and its option
    compute-sanitizer --tool $tool "$fuscoc" run "$@" --backend cuda --random 5 --verify 2>&1 | grep -E "verified|ERROR SUMMARY|Error|RACECHECK" | tail -n 4
  done
}
clean $p/moe.fusco --entry dispatch,combine --feed z=y --set G=4,E=16,K=4,H=64,TMAX=64 --dyn T=64,3,0,40
clean $p/moe.fusco --entry dispatch,combine --feed z=y --set G=4,E=16,K=4,H=2048,TMAX=64 --dyn T=64,3,0,40
clean $p/moe.fusco --entry dispatch,combine --feed z=y --set G=2,E=8,K=2,H=4096,TMAX=1060 --dyn T=1060,9
clean $p/moe_ep_tp.fusco --entry dispatch,combine --feed z=y --set G=2,TP=2,E=8,K=2,H=4096,TMAX=64 --dyn T=64,9
clean $p/moe_shared.fusco --entry dispatch,combine,biased --feed z=y --set G=2,E=3,K=2,H=4096,TMAX=64,OWNER=[1,0,1] --dyn T=64,9
clean tests/gpu/fetched.fusco --entry dispatch,again,changed --set G=2,E=13,H=4096,D=64,TMAX=370,K=4 --dyn T=370,64
clean $p/reshard_transpose.fusco --entry main --set M=256,N=512
clean $p/cyclic_to_block.fusco --entry main --set M=37,N=29,LDB=8
clean $p/dlrm.fusco --entry forward,lookup --set B=16,D=8,LMAX=5
clean $p/kv_migrate.fusco --entry main --set L=2,P=64,N=8,D=64,JMAX=8,RMAX=9 --dyn R=7
clean $p/to_tiles.fusco --entry main --set M=24,C=256
clean $p/partials.fusco --entry reduce_scatter,all_reduce --set M=16,N=16
for binary in "${tests[@]}"; do  # the test that has rows come by mail
  compute-sanitizer --tool racecheck "$binary" gpu_sums_by_mail 2>&1 | grep -E "test result|RACECHECK"
done
fi
if parts misuse; then
say "misuse: a false assumption writes nowhere that is not its own"
for binary in "${tests[@]}"; do  # one of them is fusco-runtime's `misuse`
  compute-sanitizer --tool memcheck "$binary" --test-threads=1 gpu_data_that_breaks 2>&1 | grep -E "test result: ok. [1-9]|panicked|ERROR SUMMARY"
done
fi
if parts random; then
say "2,000 random pairs of placements"
for binary in "${tests[@]}"; do FUSCO_PROGRAMS=200 "$binary" --nocapture gpu_random_pairs_equal 2>&1 | grep -E "pairs of|panicked"; done
say "2,000 random programs with routes, by ten processes"
for binary in "${tests[@]}"; do
  for seed in 1 2 3 4 5 6 7 8 9 10; do
    FUSCO_PROGRAMS=200 FUSCO_SEED=$((RANDOM * 10 + seed)) "$binary" --nocapture gpu_random_routes_equal 2>&1 | grep -E "programs|panicked|seed" | head -n 3 &
  done
  wait
done
fi
if parts times; then say times; "$fuscoc" bench --peers; "$fuscoc" bench --curves; fi
if parts devices && [ "$(nvidia-smi -L | wc -l)" -ge 2 ]; then say "two devices"; "$fuscoc" bench --devices 0,1 --peers; fi
