#!/usr/bin/env bash
# Makes schema-N.db as README.md says it: ledger/testdata/make.sh OUTDIAL FILE, with the program of the version that is
# released. It takes half a minute and needs python3.
set -euo pipefail
program=$(realpath "$1") file=$(realpath -m "$2") home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
common=(HOME="$home" PATH="$PATH" TZ=UTC OUTDIAL_DATABASE="sqlite:$home/outdial.db" OUTDIAL_SIMULATOR_GUARD=full
	OUTDIAL_RATES='simulator=USD 0.10' OUTDIAL_CONFIRM=never OUTDIAL_CALLING_HOURS=00:00-24:00)
outdial() { env -i "${common[@]}" "$program" "$@" </dev/null; }
refused() { if outdial "$@"; then echo "this should have been refused: $*" >&2; exit 1; fi; }

outdial call +12025550100 'Ask for the opening hours' --wait --idempotency-key order-1
outdial call +8613800138000 '问一下营业时间' --wait --agent-name 小美 --caller-name 王伟
outdial call +12025550101 'Nobody answers' --wait
outdial call +12025550106 'Cut in mid-call' --wait || true # it ends as failed
refused call +12025550108 'Fails to dial'
refused call +12025550109 'An uncertain dial' --idempotency-key order-9
outdial contacts add +12025550110 --name 'Ann Example' --zone America/New_York
outdial dnc add +12025550111 --note 'asked by mail'
refused call +12025550112 'Has to be confirmed' --confirm always
refused call +12025550111 'Asked not to be called'

env -i "${common[@]}" "$program" call +12025550107 'A long call' --wait --idempotency-key order-7 </dev/null >"$home/said" &
for _ in $(seq 300); do
	if [ "$(grep -c '👤' "$home/said")" -ge 1 ]; then break; fi
	sleep 0.1
done
kill -9 $!
wait $! 2>/dev/null || true
python3 - "$home/outdial.db" "$file" <<'PY'
import shutil, sqlite3, sys

for statements in (
    ["PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA journal_mode = DELETE"],
    ["PRAGMA page_size = 1024", "VACUUM"],
    ["PRAGMA journal_mode = WAL", "PRAGMA integrity_check", "PRAGMA user_version"],
):
    db = sqlite3.connect(sys.argv[1], isolation_level=None)
    for s in statements:
        print(s, db.execute(s).fetchall())
    db.close()
shutil.copyfile(sys.argv[1], sys.argv[2])
PY
