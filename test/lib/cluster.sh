# cluster.sh: what `make test` and `make demo` share. Source it from bash.
#
#   kc_step NAME                names what follows, for the reader and for the
#                               message when it fails
#   kc_quietly COMMAND ...      output only if it fails
#   kc_watch COMMAND ...        for what takes long: a signal ends it at once
#   kc_need_packages            installs what Debian packages are missing
#   kc_build_install            make and make install
#   kc_temp_dir                 makes $KC_TEMP, private, and goes to a copy of
#                               the source tree in it
#   kc_start_cluster [LINE ...] a server with pg_cron in $KC_TEMP, reached by a
#                               socket there alone; LINEs go to its
#                               configuration; has the database $KC_DATABASE
#                               and the secrets file $KC_SECRETS_FILE
#   kc_start_simulator SEED [OPTION ...]
#                               sets KC_SIMULATOR_URL, and KC_SIMULATOR in the
#                               environment
#   kc_as_server_user COMMAND ...
#   kc_psql [ARGUMENT ...]      psql as superuser in $KC_DATABASE
#
# The server never runs as root: where root starts this, it and all that works
# with it runs as the user postgres. No existing cluster, port or configuration
# is touched. At exit, however it comes, everything is stopped and removed;
# with KEEP=1 in the environment it stays, and the line to get in is printed.

set -euo pipefail

KC_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
KC_DATABASE=${KC_DATABASE:-kinderconnect}
KC_STEP=
KC_TEMP=
KC_SIMULATOR_PID=
KC_LOG=$(mktemp)
umask 022

for kc_name in $(compgen -e); do
	case $kc_name in
		PG_CONFIG) ;;
		PG* | MAKEFLAGS | MFLAGS | MAKELEVEL | KC_SIMULATOR | LANG | LC_*) unset "$kc_name" ;;
	esac
done
export LC_ALL=C.UTF-8

KC_AS=()
if [ "$(id -u)" -eq 0 ]; then
	KC_AS=(setpriv --reuid=postgres --regid=postgres --init-groups --)
fi

kc_step() {
	KC_STEP=$1
	: >"$KC_LOG"
	printf '== %s\n' "$1"
}

kc_quietly() {
	"$@" >>"$KC_LOG" 2>&1
}

# Only while it waits does bash heed a signal; what is in the background has to
# be a job of its own, or it would not heed SIGINT
kc_watch() {
	set -m
	"$@" </dev/null &
	set +m
	wait "$!"
}

kc_sudo() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo -- "$@"
	else
		echo "this needs root, and there is no sudo: $*" >&2
		return 1
	fi
}

kc_as_server_user() {
	"${KC_AS[@]}" "$@"
}

# An existing server installation that is asked for by PG_CONFIG counts; else
# the version of this Debian release.
kc_find_pg_config() {
	local given version

	given=$(command -v "${PG_CONFIG:-pg_config}" || true)
	if [ -n "$given" ] && [ -f "$("$given" --pgxs 2>/dev/null)" ]; then
		PG_CONFIG=$given
	else
		if [ "${PG_CONFIG:-pg_config}" != pg_config ] && [[ $PG_CONFIG != /usr/lib/postgresql/* ]]; then
			echo "PG_CONFIG=$PG_CONFIG is not the pg_config of a server that extensions can be built for" >&2
			return 1
		fi
		case $(. /etc/os-release && echo "${VERSION_ID:-}") in
			12) version=15 ;;
			13) version=17 ;;
			*) version=18 ;;
		esac
		if [[ ${PG_CONFIG:-} =~ ^/usr/lib/postgresql/([0-9]+)/ ]]; then
			version=${BASH_REMATCH[1]}
		fi
		PG_CONFIG=/usr/lib/postgresql/$version/bin/pg_config
	fi
	export PG_CONFIG
	# /usr/bin/pg_config answers for the newest version: only bindir tells
	KC_BIN=$("$PG_CONFIG" --bindir 2>/dev/null || dirname "$PG_CONFIG")
	export PATH="$KC_BIN:$PATH"
}

kc_need_packages() {
	local version package
	local wanted=(libcurl4-openssl-dev libssl-dev pkg-config python3-aiohttp libipc-run-perl make gcc openssl nginx-light)
	local missing=()

	command -v dpkg-query >/dev/null || return 0
	if [[ $KC_BIN =~ ^/usr/lib/postgresql/([0-9]+)/bin$ ]]; then
		version=${BASH_REMATCH[1]}
		wanted+=("postgresql-$version" "postgresql-$version-cron" "postgresql-server-dev-$version")
	fi
	for package in "${wanted[@]}"; do
		[[ $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) == *" installed" ]] ||
			missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0

	echo "   installing ${missing[*]}"
	kc_quietly kc_sudo apt-get update
	# a web server or cluster that a package would start is not wanted
	kc_quietly kc_sudo env DEBIAN_FRONTEND=noninteractive sh -c '
		policy=/usr/sbin/policy-rc.d
		if [ ! -e "$policy" ]; then
			trap "rm -f $policy" EXIT
			printf "#!/bin/sh\nexit 101\n" >"$policy"
			chmod 755 "$policy"
		fi
		apt-get install -y --no-install-recommends "$@"' sh "${missing[@]}"
}

# Objects built for another server are not reused.
kc_build_install() {
	local target="$("$PG_CONFIG" --version) $("$PG_CONFIG" --pgxs)"

	if [ "$(cat "$KC_ROOT/build/for" 2>/dev/null)" != "$target" ]; then
		kc_quietly make -C "$KC_ROOT" PG_CONFIG="$PG_CONFIG" clean
		mkdir -p "$KC_ROOT/build"
		echo "$target" >"$KC_ROOT/build/for"
	fi
	kc_quietly make -C "$KC_ROOT" -j2 PG_CONFIG="$PG_CONFIG"
	kc_quietly kc_sudo make -C "$KC_ROOT" PG_CONFIG="$PG_CONFIG" install
}

# Always in /tmp: the name of a socket has to be short, and postgres has to
# get there when root starts this.
kc_temp_dir() {
	KC_TEMP=$(mktemp -d /tmp/kinderconnect.XXXXXX)
	KC_SECRETS_FILE=$KC_TEMP/kinderconnect.secrets
	mkdir "$KC_TEMP/tree"
	tar -C "$KC_ROOT" --exclude=./.git --exclude=./build --exclude='*.o' -cf - . |
		tar -C "$KC_TEMP/tree" --no-same-owner -xf -
	if [ "$(id -u)" -eq 0 ]; then
		chown -R postgres:postgres "$KC_TEMP"
	fi
	export HOME=$KC_TEMP TMPDIR=$KC_TEMP
	cd "$KC_TEMP/tree"
}

kc_start_cluster() {
	export PGHOST=$KC_TEMP PGPORT=5432 PGUSER=postgres PGDATABASE=$KC_DATABASE

	kc_quietly kc_as_server_user "$KC_BIN/initdb" -D "$KC_TEMP/data" -U postgres -A trust \
		--no-sync --encoding=UTF8 --locale=C.UTF-8
	# pg_cron wants its database to be there when the server starts
	kc_quietly kc_as_server_user "$KC_BIN/postgres" --single -D "$KC_TEMP/data" postgres \
		<<<"CREATE DATABASE \"$KC_DATABASE\""
	{
		printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$KC_TEMP'" \
			"port = 5432" "fsync = off" "lc_messages = 'C'" \
			"shared_preload_libraries = 'pg_cron'" "cron.database_name = '$KC_DATABASE'" \
			"cron.host = '$KC_TEMP'" "kinderconnect.secrets_file = '$KC_SECRETS_FILE'"
		if [ $# -gt 0 ]; then
			printf '%s\n' "$@"
		fi
	} | kc_as_server_user tee -a "$KC_TEMP/data/postgresql.conf" >/dev/null
	kc_quietly kc_as_server_user "$KC_BIN/pg_ctl" -D "$KC_TEMP/data" -l "$KC_TEMP/server.log" -w start
}

kc_start_simulator() {
	local started

	started=$(kc_as_server_user sh test/lib/simulator-up "$KC_TEMP" "$@" 2>>"$KC_LOG")
	KC_SIMULATOR_PID=${started% *}
	KC_SIMULATOR_URL=${started#* }
	export KC_SIMULATOR=$KC_SIMULATOR_URL
}

kc_psql() {
	kc_as_server_user "$KC_BIN/psql" -X -v ON_ERROR_STOP=1 "$@"
}

# The processes that work in $KC_TEMP: servers, simulators, tests
kc_at_work() {
	local process

	for process in /proc/[0-9]*; do
		if [[ $(readlink "$process/cwd" 2>/dev/null) == "$KC_TEMP"/* ]]; then
			echo "${process#/proc/}"
		fi
	done
}

# QUIT is a server's immediate shutdown; TERM is for those that a shell has
# started in the background, which ignore it
kc_remove_all() {
	local tries left

	[ -n "$KC_TEMP" ] || return
	# bash would tell of its jobs that have been ended
	exec 2>/dev/null
	cd /
	for ((tries = 0; tries < 100; tries++)); do
		left=$(kc_at_work)
		[ -n "$left" ] || break
		kill -QUIT $left
		kill -TERM $left
		sleep 0.1
	done
	[ -z "$left" ] || kill -KILL $left
	rm -rf "$KC_TEMP"
}

kc_tell_what_is_kept() {
	cat <<-END

		Everything is left running, in $KC_TEMP. To look around:
		    $KC_BIN/psql -h $KC_TEMP -U postgres $KC_DATABASE
		To end it:
		    ${KC_AS[*]} $KC_BIN/pg_ctl -D $KC_TEMP/data stop
		    ${KC_SIMULATOR_PID:+kill $KC_SIMULATOR_PID;} rm -r $KC_TEMP
	END
}

kc_tell_what_failed() {
	echo "kinderconnect: this step failed: $KC_STEP"
	if [ -s "$KC_LOG" ]; then
		echo "--- the end of its output"
		tail -n 40 "$KC_LOG"
	fi
	if [ -s "$KC_TEMP/server.log" ]; then
		echo "--- the end of the server's log"
		tail -n 20 "$KC_TEMP/server.log"
	fi
}

# An empty KC_STEP says that the failure has been told already.
kc_cleanup() {
	local status=$?

	trap - EXIT
	trap '' INT TERM HUP
	set +e
	if [ "$status" -ne 0 ] && [ -n "$KC_STEP" ]; then
		kc_tell_what_failed >&2
	fi
	rm -f "$KC_LOG"
	if [ -n "${KEEP:-}" ] && [ -f "$KC_TEMP/data/postmaster.pid" ]; then
		kc_tell_what_is_kept
	else
		kc_remove_all
	fi
	exit "$status"
}

trap kc_cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

kc_find_pg_config
