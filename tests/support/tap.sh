# Tests in bash report as the C ones do: TAP on standard output, read by tests/support/runner.
#     . "$FLEET_SOURCE/tests/support/tap.sh"
#     check "the program prints its version" test -n "$version"
#     skip "the program is static" "no readelf here"
#     finish
number=0 failed=0

check() { # NAME COMMAND...: passed when the command succeeds; its output is shown when not
    local name=$1 out
    shift
    number=$((number + 1))
    if out=$("$@" 2>&1); then
        echo "ok $number - $name"
    else
        failed=$((failed + 1))
        echo "not ok $number - $name"
        printf '%s\n' "$out" | sed 's/^/# /'
    fi
}

empty() { # TEXT: succeeds when there is none, else prints it
    [ -z "$1" ] || { printf '%s\n' "$1"; return 1; }
}

skip() { # NAME REASON
    number=$((number + 1))
    echo "ok $number - $1 # SKIP $2"
}

finish() {
    echo "1..$number"
    exit $((failed > 0))
}
