#!/bin/bash
# The prompting side of docs/load-balancing.md (stage 0): it serves nothing.
# Put the addresses that server 1 and server 2 printed here, or give them as the first argument, with a comma between.
# 서버 1과 서버 2의 주소를 여기에 입력
DHT_PEERS="${1:-/ip4/119.59.0.14/tcp/22452/p2p/서버1PeerID,/ip4/119.59.0.14/tcp/29354/p2p/서버2PeerID}"
cd "$(dirname "$0")/.." || exit 1

exec npm run -s prompt -- \
    --model meta-llama/Llama-3.1-8B \
    --splits "8,16,24" \
    --stage 0 \
    --dht_initial_peers "$DHT_PEERS" \
    --dht_port 8008 \
    --rpc_port 8009 \
    --public_ip 119.59.0.14 \
    --public_dht_port 41826 \
    --public_rpc_port 23619 \
    --prompt "Hello, how are you?"
