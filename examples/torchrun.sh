#!/bin/bash
# One training on one to four hosts, started by torchrun. Run this on each of them, with the first one's address:
#     HOST=first.example.org bash examples/torchrun.sh
# Hosts may go and come back: the others go on from the last snapshot, and all of them again when it is there.
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 # else restarts may look for a host that is gone
exec torchrun --nnodes "${NODES:-1:4}" --nproc-per-node "${PROCESSES:-gpu}" --max-restarts 20 \
    --rdzv-backend c10d --rdzv-endpoint "${HOST:-localhost}:29400" --rdzv-id faces \
    --no-python -- facegan train "${DATA:-data/celeba64}" --recipe "${RECIPE:-style-m}" --run "${RUN:-runs/faces}" \
    --images "${IMAGES:-10M}" "$@"
