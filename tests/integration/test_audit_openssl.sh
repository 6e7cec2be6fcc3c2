#!/usr/bin/env bash
# A third party verifies the log with openssl and coreutils alone, as core/record/README.md tells: the
# signature of every receipt, the chain, the Merkle root, and the signature of the checkpoint. Nothing of
# ours is run here but the writer; a receipt that was changed must be noticed by each step.
. "$FLEET_SOURCE/tests/support/tap.sh"
trap 'rm -rf log bad *.bin *.txt' EXIT
writer=$FLEET_BUILD/tests/integration/test_audit_kill

"$writer" write log 9 each || exit 1
cd log || exit 1

hex() { # bytes on standard input -> hex
    od -An -v -tx1 | tr -d ' \n'
}
unhex() { # HEX -> bytes
    printf "$(printf '%s' "$1" | sed 's/../\\x&/g')"
}

# The signature is over the line with its last member cut out: ,"zsig":"..."
signature_of() { # LINE
    local body="${1%,\"zsig\":\"*}}" sig="${1##*,\"zsig\":\"}"
    printf '%s' "$body" >body.bin
    printf '%s' "${sig%\"\}}" | base64 -d >sig.bin
    openssl pkeyutl -verify -rawin -pubin -inkey audit.pub -in body.bin -sigfile sig.bin >/dev/null 2>&1
}

leaf_of() { # LINE -> SHA-256(0x00 || line)
    { printf '\000'; printf '%s' "$1"; } | sha256sum | cut -d' ' -f1
}

signatures() { # FILE
    local line
    while IFS= read -r line; do
        signature_of "$line" || { echo "bad signature: $line"; return 1; }
    done <"$1"
}

chain() { # FILE
    local line prev seq=0
    prev=$(printf '0%.0s' {1..64})
    while IFS= read -r line; do
        case $line in
        *"\"prev\":\"$prev\""*"\"seq\":$seq,"*) ;;
        *) echo "record $seq does not follow"; return 1 ;;
        esac
        prev=$(leaf_of "$line")
        seq=$((seq + 1))
    done <"$1"
}

# RFC 6962 §2.1, by levels: neighbours are joined, an odd one at the end goes up as it is.
root() { # FILE -> base64 of the root
    local level=() next i line
    while IFS= read -r line; do level+=("$(leaf_of "$line")"); done <"$1"
    while [ ${#level[@]} -gt 1 ]; do
        next=()
        for ((i = 0; i < ${#level[@]}; i += 2)); do
            if [ $((i + 1)) -lt ${#level[@]} ]; then
                next+=("$({ printf '\001'; unhex "${level[i]}"; unhex "${level[i + 1]}"; } | sha256sum | cut -d' ' -f1)")
            else
                next+=("${level[i]}")
            fi
        done
        level=("${next[@]}")
    done
    unhex "${level[0]}" | base64 -w0
}

# text, empty line, "— name base64(4 bytes key id, 64 bytes signature)"
checkpoint() { # FILE
    sed '/^$/,$d' audit.checkpoint >note.bin
    tail -n1 audit.checkpoint | cut -d' ' -f3 | base64 -d >noted.bin
    tail -c 64 noted.bin >sig.bin
    openssl pkeyutl -verify -rawin -pubin -inkey audit.pub -in note.bin -sigfile sig.bin >/dev/null 2>&1 || {
        echo "bad signature of the checkpoint"
        return 1
    }
    [ "$(sed -n 2p note.bin)" = "$(wc -l <"$1")" ] || { echo "other size"; return 1; }
    [ "$(sed -n 3p note.bin)" = "$(root "$1")" ] || { echo "other root"; return 1; }
}

key_id() { # SHA-256(name || 0x0A || 0x01 || public key), its first four bytes
    local name want
    name=$(sed -n 1p audit.checkpoint)
    want=$({ printf '%s\n\001' "$name"; openssl pkey -pubin -in audit.pub -outform DER | tail -c 32; } |
        sha256sum | cut -c1-8)
    [ "$(tail -n1 audit.checkpoint | cut -d' ' -f3 | base64 -d | head -c 4 | hex)" = "$want" ]
}

not() { ! "$@"; }

check "nine records, canonical members in order" test "$(wc -l <audit.ndjson)" = 9
check "every receipt's signature" signatures audit.ndjson
check "the chain" chain audit.ndjson
check "the checkpoint: signature, size, root" checkpoint audit.ndjson
check "the key id of the checkpoint" key_id

sed '4s/"outcome":"ok"/"outcome":"no"/' audit.ndjson >bad
check "a receipt that was changed: its signature" not signatures bad
check "a receipt that was changed: the chain" not chain bad
check "a receipt that was changed: the root" not checkpoint bad
sed 4d audit.ndjson >bad
check "a receipt that is missing: the chain" not chain bad
check "a receipt that is missing: the root" not checkpoint bad
cd ..
finish
