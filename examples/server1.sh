#!/bin/bash
# Server 1 of docs/load-balancing.md: the first one, which knows nobody yet. It prints the address that the others need.
cd "$(dirname "$0")/.." || exit 1

exec npm run -s donate -- \
    --model meta-llama/Llama-3.1-8B \
    --splits "8,16,24" \
    --stage 1 \
    --use_load_balancing \
    --num_blocks 8 \
    --total_blocks 32 \
    --dht_port 8002 \
    --rpc_port 8003 \
    --public_ip 119.59.0.14 \
    --public_dht_port 22452 \
    --public_rpc_port 50192 \
    --balance_quality 0.75 \
    --mean_balance_check_period 120
