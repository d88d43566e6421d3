#!/bin/bash
# Server 2 of docs/load-balancing.md.
# Put the address that server 1 printed here, or give it as the first argument.
# 첫 번째 서버의 DHT peer ID를 여기에 입력
DHT_PEER="${1:-/ip4/119.59.0.14/tcp/22452/p2p/첫서버PeerID}"
cd "$(dirname "$0")/.." || exit 1

exec npm run -s donate -- \
    --model meta-llama/Llama-3.1-8B \
    --splits "8,16,24" \
    --stage 1 \
    --use_load_balancing \
    --num_blocks 8 \
    --total_blocks 32 \
    --dht_initial_peers "$DHT_PEER" \
    --dht_port 8004 \
    --rpc_port 8005 \
    --public_ip 119.59.0.14 \
    --public_dht_port 29354 \
    --public_rpc_port 15930 \
    --balance_quality 0.75 \
    --mean_balance_check_period 120
