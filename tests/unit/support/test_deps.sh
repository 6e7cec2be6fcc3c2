#!/usr/bin/env bash
# tests/support/deps with a package system made of scripts: nothing missing is silent and installs nothing,
# what is missing is named with its reason and installed by one call, an alternative or a command will do,
# a user who may not install gets the command to type, another system gets the libraries' names.
. "$FLEET_SOURCE/tests/support/tap.sh"
mkdir bin other
trap 'rm -rf bin other calls' EXIT
: >calls

cat >bin/dpkg-query <<'S'
#!/bin/bash
for name in "${@:4}"; do
    case $name in here*) echo "$name installed" ;; gone) echo "gone config-files" ;; *) status=1 ;; esac
done
exit ${status:-0}
S
cat >bin/apt-get <<S
#!/bin/bash
echo "apt-get \$*" >>"$PWD/calls"
S
cat >bin/id <<'S'
#!/bin/bash
echo "${FAKE_UID:-0}"
S
printf '#!/bin/bash\nexit 1\n' | tee bin/sudo >other/pkg-config
for tool in bash env mktemp rm cat tee chmod grep; do
    ln -s "$(command -v $tool)" "other/$tool"
done
chmod +x bin/* other/pkg-config

deps() { # [VARIABLE=VALUE...] -- GROUP:PACKAGE...
    local settings=()
    while [ "$1" != -- ]; do
        settings+=("$1")
        shift
    done
    : >calls
    env PATH="$PWD/bin:$PATH" "${settings[@]}" bash "$FLEET_SOURCE/tests/support/deps" "${@:2}" 2>&1
}
quiet() { # nothing is said, nothing installed
    local out
    out=$(deps "$@") && [ -z "$out" ] && [ ! -s calls ]
}
installs() { # PACKAGES, then as deps
    local wanted=$1
    shift
    deps "$@" && grep -q "install --no-install-recommends $wanted\$" calls && [ "$(wc -l <calls)" = 2 ]
}
says() { # EXIT TEXT, then as deps
    local code=$1 text=$2 out
    shift 2
    out=$(deps "$@")
    [ $? -eq "$code" ] && grep -q -- "$text" <<<"$out" || { echo "$out"; return 1; }
}

check 'nothing missing: silent' quiet -- build:here1 test:here2
check 'an alternative will do' quiet -- 'browser:nowhere|here1'
check 'a command will do' quiet DEPS_COMMANDS='nodejs=bash' -- test:nodejs
check 'what is missing is installed' installs 'libx-dev liby-dev' -- build:libx-dev build:here1 test:liby-dev
check 'also what was removed' installs 'gone' -- build:gone
check 'the first alternative is installed' installs 'one' -- 'browser:one|two'
check 'twice asked, once installed' installs 'one' -- build:one test:one
check 'it says why' says 0 'libx-dev (to build)' -- build:libx-dev
check 'no right to install: the command' says 1 'sudo apt-get update && sudo apt-get install --no-install-recommends libx-dev' \
    FAKE_UID=1000 -- build:libx-dev
check 'and nothing was tried' empty "$(cat calls)"
check 'another system: the libraries' says 1 'Missing: libuv nosuchcc' PATH="$PWD/other" \
    DEPS_LIBRARIES=libuv DEPS_PROGRAMS='bash nosuchcc' -- build:libuv1-dev
finish
