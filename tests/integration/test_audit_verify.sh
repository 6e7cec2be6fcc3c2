#!/usr/bin/env bash
# What `fleet audit verify` answers scripts by its exit code alone. Codes 1 to 4 are verdicts, so a log that
# cannot be read, or a slip on the command line, must end with none of them; a witness that nobody known
# signed is no witness; and a key that was rotated twice is followed from the first on.
. "$FLEET_SOURCE/tests/support/tap.sh"
trap 'rm -rf log state c.json copy.* out out.* keys' EXIT
writer=$FLEET_BUILD/tests/integration/test_audit_kill
core=$FLEET_BUILD/fleet-core

"$writer" write log 9 each || exit 1

exits() { # CODE WORDS COMMAND...: it exits so and says so
    local want=$1 words=$2
    shift 2
    timeout 20 "$@" >out 2>&1
    local code=$?
    [ $code = "$want" ] && grep -q -e "$words" out || {
        echo "exit $code: $(cat out)"
        return 1
    }
}
verify() { # CODE WORDS ARGUMENTS...
    local want=$1 words=$2
    shift 2
    exits "$want" "$words" "$core" audit verify "$@"
}
again() { # the copy as it was written
    rm -rf copy.*
    for x in ndjson pub checkpoint; do cp log/audit.$x copy.$x; done
}

again
check "as written" verify 0 "all 9 records" copy.ndjson
check "no such file: no verdict" verify 5 "No such file" gone.ndjson
check "a directory: no verdict" verify 5 "is a directory" log
check "a wrong option: no verdict" verify 5 "unknown option" --bogus copy.ndjson
check "too many arguments: no verdict" verify 5 "unexpected argument" copy.ndjson b

: >copy.pub
check "an empty key file" verify 4 "no public key" copy.ndjson
rm copy.pub && mkfifo copy.pub
check "a pipe in place of the key" verify 4 "no regular file" copy.ndjson
again
rm copy.checkpoint && mkfifo copy.checkpoint
check "a pipe in place of the checkpoint" verify 1 "no regular file" copy.ndjson
again
sed -i 's/^\(— [^ ]* \).*/\1AAAA/' copy.checkpoint
check "a checkpoint without a signature that counts" verify 4 "none of the 1 trusted keys signed it" copy.ndjson
again
sed 's/^— /- /' log/audit.checkpoint >keys
check "an anchor without a signature that counts" verify 4 "anchor keys fits" --anchor keys copy.ndjson

"$writer" write other 5 each || exit 1
cp other/audit.ndjson copy.ndjson
check "another log's records" verify 1 "the records are of" copy.ndjson
rm -rf other

rotate() { "$core" audit rotate --state-dir state --sink copy.ndjson; }
cat >c.json <<'C'
{"name":"r","flow":{"steps":[{"type":"http.get","url":"{{url}}"}]},"targets":["http://127.0.0.1:1/"],
 "limits":{"robots":false},"retry":{"max":0},"audit":{"sink":"copy.ndjson"},"output":{"report":"out.html","results":"out.ndjson","artifacts":"keys"}}
C
rm -f keys copy.* && mkdir keys
run() { "$core" run c.json -q --state-dir state >/dev/null 2>&1; [ $? = 5 ]; }
check "rotate where there is no log" exits 3 "no audit log" "$core" audit rotate --state-dir nothing
check "a run" run
cp copy.pub keys/first
check "a rotation" rotate
check "another run" run
check "another rotation" rotate
check "three keys" test "$(grep -c BEGIN copy.pub)" = 3
check "all of it, by the newest list" verify 0 "2 key rotations" copy.ndjson
check "and by the first key alone" verify 0 "2 key rotations" --key keys/first copy.ndjson
check "the database" verify 0 "2 key rotations" --state-dir state
finish
