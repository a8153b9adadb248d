# Sourced by bench/goal-*: a cluster, the benchmark's server and its data, and
# the words in which a goal ends.
#
#   kc_bench_packages PACKAGE ...
#   kc_bench_cluster [LINE ...]       a cluster with durable commits, and the
#                                     extension in it
#   kc_bench_server MS LOCATIONS PER_ORGANIZATION CHILDREN
#                                     bench/server.c; sets KC_BENCH_URL
#   kc_bench_data LOCATIONS PER_ORGANIZATION CHILDREN DAYS
#                                     Manage's tables for it, and the setup
#   kc_bench_sql QUERY                one value
#   kc_bench_median, kc_bench_spread  of the numbers on standard input; spread:
#                                     largest over smallest
#   kc_bench_machine                  a line that names the machine
#   kc_bench_goal N MEASURED OP TARGET TEXT
#                                     the last line of goal N
#
# SCALE (1 = what the goal says) makes it smaller, REPEATS says how many times
# each number is measured; the median counts.
. "$(dirname "${BASH_SOURCE[0]}")/../test/lib/cluster.sh"

SCALE=${SCALE:-1}
REPEATS=${REPEATS:-3}

kc_bench_packages() {
	local package missing=()

	for package in "$@"; do
		[[ $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) == *" installed" ]] || missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	kc_quietly kc_sudo apt-get update
	kc_quietly kc_sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
}

kc_bench_scaled() {
	awk -v n="$1" -v s="$SCALE" 'BEGIN { v = int(n * s + 0.5); print v < 1 ? 1 : v }'
}

kc_bench_cluster() {
	kc_temp_dir
	kc_start_cluster "fsync = on" "max_wal_size = '4GB'" "checkpoint_timeout = '15min'" "shared_buffers = '1GB'" \
		"max_connections = 50" "$@"
	kc_quietly kc_psql -c 'CREATE EXTENSION kinderconnect CASCADE' -c 'CREATE SCHEMA bench'
	kc_as_server_user sh -c 'umask 077; echo bench:bench >"$1"' sh "$KC_SECRETS_FILE"
}

kc_bench_compile() {
	kc_as_server_user gcc -O2 -o "$KC_TEMP/$1" "bench/$1.c" "${@:2}"
}

# Ends the one before it
kc_bench_server() {
	kc_bench_server_end
	[ -x "$KC_TEMP/server" ] || kc_bench_compile server -lmicrohttpd
	rm -f "$KC_TEMP/server.port"
	kc_as_server_user "$KC_TEMP/server" "$KC_TEMP/server.port" "$@" </dev/null >/dev/null 2>>"$KC_LOG" &
	KC_BENCH_SERVER=$!
	until [ -s "$KC_TEMP/server.port" ]; do
		kill -0 "$KC_BENCH_SERVER"
		sleep 0.05
	done
	KC_BENCH_URL=http://127.0.0.1:$(cat "$KC_TEMP/server.port")
	if [ "$(kc_psql -Atc "SELECT count(*) FROM kinderconnect.endpoint")" != 0 ]; then
		kc_psql -qc "UPDATE kinderconnect.endpoint SET base_url = '$KC_BENCH_URL', token_url = '$KC_BENCH_URL/oauth2/token'"
	fi
}

kc_bench_server_end() {
	if [ -n "${KC_BENCH_SERVER:-}" ]; then
		kill "$KC_BENCH_SERVER" 2>/dev/null || true
		wait "$KC_BENCH_SERVER" 2>/dev/null || true
	fi
	KC_BENCH_SERVER=
}

kc_bench_data() {
	local given=(-q -v "locations=$1" -v "per_organization=$2" -v "children=$3" -v "days=$4" -v "url=$KC_BENCH_URL")

	kc_psql "${given[@]}" -f bench/data.sql
	kc_psql "${given[@]}" -f bench/setup.sql
}

# Forgets what the nights did; a night begins anew
kc_bench_forget() {
	kc_psql -q <<-'SQL'
		SET client_min_messages = warning;
		TRUNCATE kinderconnect.child_day, kinderconnect.ledger, kinderconnect.batch, kinderconnect.run,
			kinderconnect.run_organization, kinderconnect.run_provider, kinderconnect.child_link, kinderconnect.child,
			kinderconnect.authorization, kinderconnect.listed_authorization, kinderconnect.listed_subsidy, kinderconnect.list_state, kinderconnect.provider,
			kinderconnect.listed_location, kinderconnect.customer, kinderconnect.match_state, kinderconnect.known_child, kinderconnect.scored_child, kinderconnect.score_state, kinderconnect.match_candidate, kinderconnect.child_day_step, kinderconnect.provider_clock, bench.step CASCADE;
		VACUUM ANALYZE;
		CHECKPOINT;
	SQL
}

# the night is no superuser's
kc_bench_night() {
	kc_psql -q -c "SET ROLE kinderconnect_operator" -c "CALL kinderconnect.nightly($*)"
}

kc_bench_sql() {
	kc_psql -At -c "$1"
}

# seconds that a command takes
kc_bench_time() {
	local from=$EPOCHREALTIME

	kc_quietly "$@"
	awk -v a="$from" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.3f\n", b - a }'
}

kc_bench_median() {
	sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

kc_bench_spread() {
	sort -g | awk '{ v[NR] = $1 } END { printf "%.2f\n", (v[1] > 0 ? v[NR] / v[1] : 0) }'
}

kc_bench_machine() {
	echo "machine: $(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1), $(nproc) cores," \
		"$(awk '/MemTotal/ { printf "%d GB", $2 / 1048576 }' /proc/meminfo); $("$KC_BIN/postgres" --version); scale $SCALE"
}

# Several numbers, joined by commas, are met when each is
kc_bench_goal() {
	awk -v n="$1" -v measured="$2" -v op="$3" -v target="$4" -v text="$5" 'BEGIN {
		count = split(measured, m, ","); split(target, t, ","); met = 1
		for (i = 1; i <= count; i++)
			if (op == ">=" ? m[i] < t[i] : m[i] > t[i])
				met = 0
		printf "goal %s: %s %s, target %s %s, %s\n", n, measured, text, op, target, met ? "met" : "short"
	}'
}

# pgsql-http is Debian's, from sid, with the server it is built for, unpacked
# once into $KC_BENCH_CACHE from the mirror that this system uses. Answers
# nothing where the mirror does not have it.
KC_BENCH_CACHE=${KC_BENCH_CACHE:-/var/tmp/kinderconnect-bench}

kc_bench_sid() {
	local sid=$KC_BENCH_CACHE/sid mirror key=/usr/share/keyrings/debian-archive-keyring.gpg

	[ ! -x "$sid/usr/lib/postgresql/18/bin/postgres" ] || return 0
	kc_bench_packages mmdebstrap
	mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Label: Debian' | sort -u | head -n 1)
	kc_sudo mkdir -p "$KC_BENCH_CACHE"
	kc_quietly kc_sudo mmdebstrap --variant=extract --include=postgresql-18-http,dash \
		--aptopt="Acquire::Check-Valid-Until \"$(apt-config dump --format '%v' Acquire::Check-Valid-Until)\"" \
		sid "$sid.new" "deb [signed-by=$key] $mirror sid main" || return 1
	# no maintainer script has run
	kc_sudo sh -c '
		cd "$1"
		for name in bin sbin lib lib64; do [ -e $name ] || ln -s usr/$name $name; done
		getent passwd "$2" >etc/passwd
		mkdir -p bench dev/shm && chmod 1777 bench dev/shm tmp' sh "$sid.new" "$(kc_as_server_user id -u)"
	kc_sudo mv "$sid.new" "$sid"
}

# A server of sid, reached by kc_bench_sid_psql
kc_bench_sid_start() {
	trap kc_bench_cleanup EXIT
	KC_BENCH_SID=bench/$(basename "$KC_TEMP")
	kc_bench_sid_do initdb -D "/$KC_BENCH_SID" -U postgres -A trust --no-sync --encoding=UTF8 --locale=C >>"$KC_LOG" 2>&1 || return
	printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '/$KC_BENCH_SID'" "max_wal_size = '4GB'" \
		"checkpoint_timeout = '15min'" "shared_buffers = '1GB'" |
		kc_sudo tee -a "$KC_BENCH_CACHE/sid/$KC_BENCH_SID/postgresql.conf" >/dev/null
	kc_bench_sid_do pg_ctl -D "/$KC_BENCH_SID" -l "/$KC_BENCH_SID/server.log" -w start >>"$KC_LOG" 2>&1 || return
}

kc_bench_sid_do() {
	kc_sudo chroot --userspec="$(kc_as_server_user id -u):$(kc_as_server_user id -g)" "$KC_BENCH_CACHE/sid" \
		"/usr/lib/postgresql/18/bin/$1" "${@:2}" </dev/null
}

kc_bench_sid_psql() {
	PGHOST=$KC_BENCH_CACHE/sid/$KC_BENCH_SID PGDATABASE=postgres kc_psql "$@"
}

kc_bench_cleanup() {
	local status=$?

	set +e
	kc_bench_sid_end
	(exit "$status")
	kc_cleanup
}

kc_bench_sid_end() {
	[ -n "${KC_BENCH_SID:-}" ] || return 0
	kc_bench_sid_do pg_ctl -D "/$KC_BENCH_SID" -m immediate stop >/dev/null 2>&1 || true
	kc_sudo rm -rf "$KC_BENCH_CACHE/sid/$KC_BENCH_SID"
	KC_BENCH_SID=
}

# Runs one statement and prints the backend's own memory in MiB, at its start
# and at its most: what is neither shared nor a file's
kc_bench_watched() {
	local most=0 first= pid now

	rm -f "$KC_TEMP/watched.out"
	kc_psql -q -At -c "SELECT pg_backend_pid()" -c "SET ROLE kinderconnect_operator" -c "SELECT pg_sleep(0.5)" -c "$1" >"$KC_TEMP/watched.out" 2>>"$KC_LOG" &
	until [ -s "$KC_TEMP/watched.out" ]; do sleep 0.02; done
	pid=$(head -n 1 "$KC_TEMP/watched.out")
	while now=$(awk '/^Anonymous/ { print int($2 / 1024) }' \
		"/proc/$pid/smaps_rollup" 2>/dev/null) && [ -n "$now" ] && [ -d "/proc/$pid" ]; do
		first=${first:-$now}
		[ "$now" -le "$most" ] || most=$now
		sleep 0.2
	done
	wait "$!"
	echo "$first $most"
}
