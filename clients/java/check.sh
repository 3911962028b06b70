#!/usr/bin/env bash
# What this client has to pass: all of javac's lints, tests, Javadoc without a gap, its jars; then the project in consumer/
# built from the jar, and the sample there run before the daemon that CULLD_BINARY names. Stubs are made with each build.
set -euo pipefail
cd "$(dirname "$0")"
mvn -B -ntp install
for kind in "" -sources -javadoc; do
    unzip -tqq "target/culld-client-0.1.0$kind.jar"
done
./conformance.sh --prepare

sample=consumer/src/main/java/sample/WatchFolder.java
[ "$(wc -l <"$sample")" -le 30 ]
folder=$(mktemp -d)
running=()
end() {
    [ ${#running[@]} = 0 ] || kill "${running[@]}" 2>/dev/null || true
    wait
    rm -rf "$folder"
}
trap end EXIT
"${CULLD_BINARY:-$PWD/../../target/release/culld}" serve --data "$folder/data" --listen 127.0.0.1:0 >"$folder/daemon" &
running+=($!)
within() { # COMMAND...: waits until it succeeds, 60 s at most
    for _ in $(seq 600); do
        if "$@"; then return; fi
        sleep 0.1
    done
    echo "never: $*" >&2
    return 1
}
address() { grep -o -m 1 'http://[0-9.:]*' "$folder/daemon" >"$folder/address"; }
within address
mkdir "$folder/pictures"
picture() { # NAME LETTER: a BMP of 16 x 16 pixels of one tone
    {
        printf 'BM\x36\x03\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x10\0\0\0\x10\0\0\0\x01\0\x18\0\0\0\0\0\0\x03\0\0'
        head -c 16 /dev/zero
        head -c 768 /dev/zero | tr '\0' "$2"
    } >"$folder/pictures/$1"
}
picture one.bmp a
: >"$folder/decisions"
LC_ALL=C.UTF-8 java -cp "consumer/target/consumer.jar:consumer/target/lib/*" sample.WatchFolder \
    "$(cat "$folder/address")" "$folder/pictures" >"$folder/decisions" &
running+=($!)
decided() { [ "$(grep -c 'DECISION_KIND_REVIEW' "$folder/decisions")" -ge "$1" ]; }
within decided 1
picture two.bmp b
within decided 2
echo "clients/java: built, checked and used from its jar; the sample follows a folder"
