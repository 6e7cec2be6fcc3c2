#!/usr/bin/env bash
# The runner must see what a bad test does: fail, crash, hang, say less than it planned, leave a process
# (also one that detached itself), leave a file. Each is done here by a small script, run by the runner
# itself, and the sum and the remarks are looked at. Without this a green run would say little.
. "$FLEET_SOURCE/tests/support/tap.sh"
run=$FLEET_BUILD/../host/run
mkdir scripts log
trap 'rm -rf scripts log sum out' EXIT

script() { # NAME < TEXT
    cat >"scripts/test_$1.sh"
}

says() { # SUM REMARK NAME [OPTION...]: the runner ends with SUM and prints REMARK
    local sum=$1 remark=$2 name=$3
    shift 3
    "$run" -l log -r sum "$@" "$PWD/scripts/test_$name.sh" >out 2>&1
    tail -n 1 out | grep -qx "$sum" && grep -q "$remark" out || { cat out; return 1; }
}

script good <<<'echo 1..2; echo ok 1 - one; echo ok 2 - two'
script bad <<<'echo 1..2; echo ok 1 - one; echo not ok 2 - two; exit 1'
script crash <<<'echo 1..2; echo ok 1 - one; kill -SEGV $$'
script short <<<'echo 1..3; echo ok 1 - one'
script silent <<<'exit 0'
script status <<<'echo 1..1; echo ok 1 - one; exit 3'
script hang <<<'echo 1..1; echo ok 1 - one; exec sleep 60'
script skips <<<'echo 1..2; echo ok 1 - one; echo "SKIP two: no such thing"; echo "not ok 2 # SKIP two"'
script child <<<'echo 1..1; echo ok 1 - one; sleep 61 & exit 0'
script detached <<<'echo 1..1; echo ok 1 - one; setsid --fork sleep 62 </dev/null >/dev/null 2>&1; exit 0'
script file <<<'echo 1..1; echo ok 1 - one; mkdir -p a/b; echo x >a/b/c'
script going <<<'echo 1..1; echo ok 1 - one; sleep 0.2 & exit 0'

check 'a good test passes' says '2 passed, 0 failed' 'ok ' good
check 'a failed case is counted' says '1 passed, 1 failed' 'not ok 2 - two' bad
check 'a crash fails' says '1 passed, 1 failed' 'signal 11' crash
check 'fewer cases than planned fail' says '1 passed, 1 failed' 'reported 1 of 3 cases' short
check 'a program without a case fails' says '0 passed, 1 failed' 'reported no test case' silent
check 'an exit code fails' says '1 passed, 1 failed' 'exit code 3' status
check 'a program that hangs is killed' says '1 passed, 1 failed' 'not done after 1 s' hang -t 1
check 'a skip is told with its reason' says '1 passed, 0 failed, 1 skipped' 'two: no such thing' skips
check 'a skip fails when strict' says '1 passed, 1 failed' 'STRICT=1' skips -s
check 'a process left behind fails' says '1 passed, 1 failed' 'process [0-9]*: sleep 61' child
check 'also a detached one' says '1 passed, 1 failed' 'process [0-9]*: sleep 62' detached
check 'a file left behind fails' says '1 passed, 1 failed' 'file a/b/c' file
check 'what is on its way out may go' says '1 passed, 0 failed' 'ok ' going
check 'a missing program fails' says '0 passed, 1 failed' 'was not built' none
left() {
    ps -eo pid,args | grep -E '^ *[0-9]+ sleep 6[0-2]$'
}
check 'nothing of them is left now' empty "$(left)"
finish
