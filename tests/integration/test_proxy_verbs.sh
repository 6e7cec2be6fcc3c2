#!/usr/bin/env bash
# fleet proxy list and check, on real proxies with credentials: one works, one is given a wrong
# password, one is not there. No credential is ever shown.
. "$FLEET_SOURCE/tests/support/tap.sh"
fleet=$FLEET_BUILD/fleet-core
export NO_COLOR=1
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; wait' EXIT

same() { # EXPECTED FOUND
    [ "$1" = "$2" ] || { echo "expected $1, found $2"; return 1; }
}
listens() { # PORT
    for _ in $(seq 100); do
        (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return 0
        sleep 0.1
    done
    echo "nothing listens on $1" >&2
    return 1
}

node "$FLEET_SOURCE/tests/bench/server.mjs" "$FLEET_SOURCE/tests/site" >port &
pids+=($!)
for _ in $(seq 100); do
    [ -s port ] && break
    sleep 0.1
done
web=$(sed -n 's/.*"port":\([0-9]*\).*/\1/p' port)

base=$((20000 + $$ % 20000))
microsocks -i 127.0.0.1 -p $base -u ann -P sesame 2>socks.log &
pids+=($!)
check "the proxy listens" listens $base

cat >proxies.txt <<END
# three
socks5://ann:sesame@127.0.0.1:$base#good
socks5://ann:opensesame@127.0.0.1:$base#wrong
http://bob:sesame@127.0.0.1:1#absent
END
"$fleet" proxy list proxies.txt >out
check "list" same 0 $?
check "three of them" same 3 "$(wc -l <out)"
check "without credentials" empty "$(grep -E 'ann|bob|sesame' out)"

"$fleet" proxy check proxies.txt --url "http://127.0.0.1:$web/article/1" >out 2>err
check "some work: 4" same 4 $?
check "the good one" grep -qE '^ok +good .* ms$' out
check "the wrong password" grep -qE '^failed +wrong .*refused' out
check "the one that is not there" grep -qE '^failed +absent .*Connection refused' out
check "the sum" grep -q '^1 of 3 proxies work$' out
check "no credential is shown" empty "$(cat out err | grep -E 'ann|bob|sesame')"

"$fleet" proxy check proxies.txt --url "http://127.0.0.1:$web/article/1" --json >out
check "JSON, in order" same 'good wrong absent' "$(sed -n 's/.*"id": "\(.*\)",/\1/p' out | paste -sd' ')"
check "with the answer" grep -q '"http_status": 200' out
check "and the reason" grep -q '"status": "PROXY_AUTH"' out

sed -i 3,4d proxies.txt
"$fleet" proxy check proxies.txt --url "http://127.0.0.1:$web/" >out
check "all work: 0" same 0 $?
printf 'htp://u:p@a:1#x\nsocks5://secret:word@127.0.0.1:99999#y\n' | "$fleet" proxy list - 2>out
check "lines that cannot be read: 3" same 3 $?
check "each is named" same 2 "$(grep -c '^standard input:[12]: ' out)"
check "and none is quoted" empty "$(grep -E 'secret|word@' out)"
"$fleet" proxy check proxies.txt 2>out
check "no URL: 2" same 2 $?
"$fleet" proxy check proxies.txt --url ftp://a/ 2>out
check "another scheme: 2" same 2 $?
"$fleet" proxy check proxies.txt --url http://a/ --parallel 0 2>out
check "a number out of range: 2" same 2 $?
rm -f port out err proxies.txt socks.log
finish
