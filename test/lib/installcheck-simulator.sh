# Sourced by the recipe of `make installcheck` before pg_regress: the tests
# find a simulator at $KC_SIMULATOR, and it ends with the recipe's shell.
if [ -z "${KC_SIMULATOR:-}" ]; then
	kc_directory=$(mktemp -d) || exit 1
	kc_started=$(sh test/lib/simulator-up "$kc_directory" test/data/seed.json) || {
		rm -rf "$kc_directory"
		exit 1
	}
	trap 'kill "${kc_started% *}"; rm -rf "$kc_directory"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	KC_SIMULATOR=${kc_started#* }
	export KC_SIMULATOR
fi
