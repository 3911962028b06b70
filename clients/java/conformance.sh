#!/usr/bin/env bash
# The Java runner of the conformance suite: the jar is built and installed into the user's local repository, and the
# project in consumer/ uses it from there.
set -euo pipefail
cd "$(dirname "$0")"
command -v javac >/dev/null && command -v mvn >/dev/null || { echo "no JDK with Maven here" >&2; exit 69; }
major=$(javac -version 2>&1 | sed 's/[^0-9]*\([0-9]*\).*/\1/')
[ "$major" -ge 17 ] || { echo "JDK 17 or newer is needed, this is $major" >&2; exit 69; }
sources=$(cat pom.xml consumer/pom.xml $(find ../../proto src/main consumer/src -type f | LC_ALL=C sort) | sha256sum | cut -c1-16)
if [ ! -e "consumer/target/$sources" ]; then
    {
        mvn -q -B -Dmaven.test.skip=true -Dmaven.javadoc.skip=true -Dmaven.source.skip=true install
        mvn -q -B -f consumer/pom.xml clean package
        touch "consumer/target/$sources"
    } >&2
fi
[ "${1:-}" = --prepare ] && exit 0
# Without a UTF-8 locale Java can't open files with other names than ASCII.
export LC_ALL=C.UTF-8
exec java -cp "consumer/target/consumer.jar:consumer/target/lib/*" conformance.Runner "$@"
