-- Who may do what. Nothing for PUBLIC; a new object without a line here is
-- its owner's alone.

REVOKE ALL ON ALL ROUTINES IN SCHEMA kinderconnect FROM PUBLIC;
DO $$
DECLARE
	item record;
BEGIN
	FOR item IN SELECT c.oid::regclass AS name, c.relkind FROM pg_catalog.pg_class c
		WHERE c.relnamespace = 'kinderconnect'::regnamespace AND c.relkind IN ('c', 'v')
	LOOP
		IF item.relkind = 'c' THEN
			EXECUTE format('REVOKE ALL ON TYPE %s FROM PUBLIC', item.name);
		ELSE
			-- what a restricted analyst may not see in a table, he does not see in a view
			EXECUTE format('ALTER VIEW %s SET (security_invoker = true)', item.name);
		END IF;
	END LOOP;
END
$$;

-- Analysts read, and call nothing that leaves the server.
GRANT SELECT ON
	kinderconnect.organization, kinderconnect.provider, kinderconnect.agency, kinderconnect.customer,
	kinderconnect.organization_agency, kinderconnect.listed_location, kinderconnect.list_state, kinderconnect.list_problem,
	kinderconnect.child, kinderconnect.authorization, kinderconnect.listed_authorization, kinderconnect.listed_subsidy, kinderconnect.child_link,
	kinderconnect.nickname, kinderconnect.same_name, kinderconnect.known_child, kinderconnect.gone_child, kinderconnect.child_decision, kinderconnect.parted_pair,
	kinderconnect.scored_child, kinderconnect.match_candidate, kinderconnect.child_match_status, kinderconnect.match_state, kinderconnect.score_state,
	kinderconnect.rule, kinderconnect.agency_rule, kinderconnect.absence_reason, kinderconnect.reason,
	kinderconnect.child_day, kinderconnect.child_day_step, kinderconnect.location_zone,
	kinderconnect.ledger, kinderconnect.batch, kinderconnect.batch_record,
	kinderconnect.run, kinderconnect.run_organization, kinderconnect.run_provider,
	kinderconnect.comparison, kinderconnect.comparison_difference,
	kinderconnect.provider_standing, kinderconnect.provider_summary, kinderconnect.held_summary, kinderconnect.unlinked_child,
	kinderconnect.authorized_child, kinderconnect.authorization_history, kinderconnect.unmatched_summary,
	kinderconnect.unclaimed_day, kinderconnect.provider_month,
	kinderconnect.absence_limit, kinderconnect.unit_band, kinderconnect.entry_window, kinderconnect.absence_limit_in_force,
	kinderconnect.unit_band_in_force, kinderconnect.unsettled_day, kinderconnect.about_to_be_lost, kinderconnect.held_ageing,
	kinderconnect.child_day_history, kinderconnect.absence_use, kinderconnect.unit_use
	TO kinderconnect_analyst, kinderconnect_operator, kinderconnect_admin;
GRANT EXECUTE ON FUNCTION
	kinderconnect.library_version(), kinderconnect.setting(text), kinderconnect.fold(text),
	kinderconnect.content(text, time[], time[], text), kinderconnect._absence_period(date, date, integer, integer),
	kinderconnect.authorizations_ending(integer), kinderconnect.newly_authorized(date),
	kinderconnect._is_restricted(name), kinderconnect._visible_organizations(name)
	TO kinderconnect_analyst, kinderconnect_operator, kinderconnect_admin;

-- Operators run the night and look after what it holds back. They read the
-- configuration, and the names of secrets, but change neither.
GRANT SELECT ON
	kinderconnect.endpoint, kinderconnect.dialect, kinderconnect.dialect_operation, kinderconnect.dialect_field,
	kinderconnect.arming, kinderconnect.manage_column, kinderconnect.provider_review, kinderconnect.restricted_analyst, kinderconnect.attendance_problem
	TO kinderconnect_operator, kinderconnect_admin;
GRANT INSERT, UPDATE, DELETE ON
	kinderconnect.agency, kinderconnect.customer, kinderconnect.organization_agency, kinderconnect.listed_location,
	kinderconnect.list_state, kinderconnect.list_problem, kinderconnect.child, kinderconnect.authorization,
	kinderconnect.listed_authorization, kinderconnect.listed_subsidy, kinderconnect.known_child, kinderconnect.gone_child, kinderconnect.scored_child, kinderconnect.match_candidate, kinderconnect.match_state, kinderconnect.score_state
	TO kinderconnect_operator;
GRANT INSERT ON kinderconnect.child_decision, kinderconnect.child_day_step TO kinderconnect_operator;
GRANT INSERT, UPDATE ON kinderconnect.location_zone TO kinderconnect_operator;
GRANT DELETE ON kinderconnect.location_zone TO kinderconnect_admin;
GRANT INSERT, UPDATE, DELETE ON kinderconnect.nickname TO kinderconnect_operator, kinderconnect_admin;
GRANT INSERT, UPDATE ON
	kinderconnect.child_link, kinderconnect.child_day, kinderconnect.ledger, kinderconnect.batch,
	kinderconnect.run, kinderconnect.run_organization, kinderconnect.run_provider,
	kinderconnect.comparison, kinderconnect.comparison_difference
	TO kinderconnect_operator;
GRANT INSERT (organization_id, agency_id, provider_id, configured), UPDATE (found_location_id) ON kinderconnect.provider TO kinderconnect_operator;
GRANT USAGE ON SEQUENCE kinderconnect.run_run_id_seq TO kinderconnect_operator;
GRANT EXECUTE ON FUNCTION
	kinderconnect._require_armed(), kinderconnect._require_ordinary_rights(),
	kinderconnect._has_secret(text), kinderconnect.api_customers(text), kinderconnect.api_locations(text, text), kinderconnect.api_agencies(text, text),
	kinderconnect.api_children(text, text, text, date), kinderconnect.api_readback(text, text, text, date, date),
	kinderconnect.test_connection(text), kinderconnect.check_dialect(text), kinderconnect._compile_dialect(text, text),
	kinderconnect.preview(text, text, text, date, date), kinderconnect.reconcile(text, date, date, text, text),
	kinderconnect.link_child(text, text, text, text, text), kinderconnect.reject_match(text, text, text, text, text),
	kinderconnect.unlink_child(text, text, text, text), kinderconnect._seek_again(text, text),
	kinderconnect.retry(text, text, text, text, date, date), kinderconnect.void_day(text, text, text, text, date),
	kinderconnect.accept_shrink(text, text, text),
	kinderconnect._job_name(integer), kinderconnect.schedule(text, integer), kinderconnect.unschedule(), kinderconnect._cron_schema(),
	kinderconnect._open(interval), kinderconnect._close(), kinderconnect._lock(text), kinderconnect._unlock(text),
	kinderconnect._room(), kinderconnect._pending(), kinderconnect._detail(text, text), kinderconnect._is_busy(),
	kinderconnect._start(text, text, text, text, text, date, date, date),
	kinderconnect._start_submit(text, text, text, text, kinderconnect.wire_record[]),
	kinderconnect._collect(interval), kinderconnect._rows(bigint, anyelement), kinderconnect._release(bigint),
	kinderconnect._said(kinderconnect.call_outcome), kinderconnect._is_bound(text), kinderconnect._require_manage(),
	kinderconnect._require_organization(text), kinderconnect._require_provider(text, text, text), kinderconnect._require_period(date, date), kinderconnect._require_in_horizon(date, date), kinderconnect._speaks(text, text), kinderconnect._zone(text),
	kinderconnect._know_sizes(), kinderconnect._fail_organization(bigint, text, boolean, text, text, text),
	kinderconnect._fail_provider(bigint, text, text, text, boolean, text, text, text),
	kinderconnect._another_night(), kinderconnect._take_list(bigint, kinderconnect.call_outcome), kinderconnect._take_customers(bigint, kinderconnect.call_outcome),
	kinderconnect._take_agencies(bigint, kinderconnect.call_outcome), kinderconnect._take_locations(bigint, kinderconnect.call_outcome),
	kinderconnect._take_children(bigint, kinderconnect.call_outcome[]), kinderconnect._children_reply(bigint), kinderconnect._further_periods(kinderconnect.call_outcome[]), kinderconnect._is_listed_later(bigint, text, text, text, date, text, text),
	kinderconnect._location_candidates(text), kinderconnect._match_providers(text), kinderconnect._months(text, date, date),
	kinderconnect._close_vanished(bigint, text, date, date), kinderconnect._stored_ids(text), kinderconnect._is_due(timestamptz, text, timestamptz), kinderconnect._new_links(text, boolean, timestamptz),
	kinderconnect._links(text), kinderconnect._middle_agrees(text, text),
	kinderconnect._differing(kinderconnect.child, date, text, text, text, text), kinderconnect._flag(text, text[], text[], boolean, boolean),
	kinderconnect._flag_links(text, timestamptz, text[]), kinderconnect._contradicted(text, boolean), kinderconnect._merges(text, text[], text[]), kinderconnect._end_merged(text), kinderconnect._match(text),
	kinderconnect._digest(text, text, text, text, date, boolean), kinderconnect._read_children(text, boolean), kinderconnect._note_gone(text, text[], date[], text[], text[]), kinderconnect._manage_now(text),
	kinderconnect._unscore(text, timestamptz, text[], date[], text[]),
	kinderconnect._words(text), kinderconnect._sorted(text), kinderconnect._first_key(text), kinderconnect._middle_key(text, text),
	kinderconnect._last_key(text), kinderconnect._suffix_key(text, text, text), kinderconnect._sound(text),
	kinderconnect._compare_names(text, text), kinderconnect._compare_dates(text, text), kinderconnect._worth(text),
	kinderconnect._in_words(text, text, text, text), kinderconnect._are_few(text, bigint), kinderconnect._few_changed(text, timestamptz, text[]), kinderconnect._few_to_score(text), kinderconnect._pairs(text, timestamptz), kinderconnect._candidates(text), kinderconnect._score(text), kinderconnect._rules(text, date), kinderconnect._is_second_reading(timestamptz, timestamp, text), kinderconnect._may_be_stay(timestamptz, timestamptz),
	kinderconnect._can_void(text), kinderconnect._wire_limits(text), kinderconnect._location_zones(text), kinderconnect._attendance(text, date), kinderconnect._moves(text), kinderconnect._note_zones(text), kinderconnect._attendance_problems(text), kinderconnect._manage_fails(text),
	kinderconnect._planned(text, text, text, date, date, boolean, timestamptz), kinderconnect._plan(text, text, text, date, date),
	kinderconnect._settle_each(text[], text[], text[], text[], text[]), kinderconnect._settle(text, text[], text, text[], text[]), kinderconnect._recover(text),
	kinderconnect._merged_days(text), kinderconnect._take_over_merged(bigint, kinderconnect.call_outcome),
	kinderconnect._new_batch(bigint, text, text, text, text, boolean, boolean, text[]),
	kinderconnect._differences(bigint, text, text, text, date, date), kinderconnect._providers_to_compare(bigint, text),
	kinderconnect._ask_comparison(bigint, text, text, text, date, date),
	kinderconnect._take_comparison(bigint, kinderconnect.call_outcome),
	kinderconnect._is_still_its(kinderconnect.ledger), kinderconnect._is_let_send(text, text, text), kinderconnect._most_records(text, text, text), kinderconnect._lost_so_far(bigint, text, text, text),
	kinderconnect._lost_records(text, text, text), kinderconnect._culprits(text, text, text),
	kinderconnect._days_to_try(bigint, text, text, text, date, date), kinderconnect._next_batches(bigint, text[], text[], text[], date, date),
	kinderconnect._listed_tonight(bigint, text, text, text), kinderconnect._is_refused_alike(bigint, kinderconnect.call_outcome),
	kinderconnect._plan_resolved(bigint, text, text, text), kinderconnect._take_answers(bigint, kinderconnect.call_outcome[]),
	kinderconnect._take_failure(bigint, kinderconnect.call_outcome),
	kinderconnect._give_up(bigint, text, text, text, kinderconnect.call_outcome),
	kinderconnect._acquit(bigint, text, text, text),
	kinderconnect._repeat_unknown(bigint, text, text, text), kinderconnect._take_readback(bigint, kinderconnect.call_outcome),
	kinderconnect._in_shard(text, integer, integer), kinderconnect._require_shard(integer, integer, text), kinderconnect._begin_run(text, text, text, date, date, boolean, integer, integer), kinderconnect._step(bigint, text), kinderconnect._locked(bigint),
	kinderconnect._at_work(bigint), kinderconnect._left_under_way(bigint), kinderconnect._has_unknown(bigint), kinderconnect._tries_on(bigint, text, text, text, timestamptz),
	kinderconnect._ask(bigint, text, text, text, text, text, date, date, date), kinderconnect._dispatch(bigint, text[], text[]),
	kinderconnect._prepare(bigint, text[], text[], text[], date, date),
	kinderconnect._guarded(bigint, text, text, text, text, date, date), kinderconnect._customers_to_ask(bigint),
	kinderconnect._months_to_ask(bigint, text, text, date, date), kinderconnect._unknown_to_resolve(bigint), kinderconnect._sends(bigint, text),
	kinderconnect._providers_to_send(bigint, text, text, date, date, integer), kinderconnect._take(bigint), kinderconnect._has_more(text, text, text),
	kinderconnect._count(bigint, text[]), kinderconnect._account(bigint), kinderconnect._report(bigint, bigint)
	TO kinderconnect_operator;
GRANT EXECUTE ON PROCEDURE
	kinderconnect._make_room(bigint, integer), kinderconnect._send_together(bigint, text[], text[]), kinderconnect._drain(bigint), kinderconnect.nightly(text, text, text, date, date, integer, integer)
	TO kinderconnect_operator;

GRANT EXECUTE ON FUNCTION
	kinderconnect._require_no_transaction(text), kinderconnect.purgeable(), kinderconnect._old_calls(text), kinderconnect._old_lists(text), kinderconnect._old_runs(),
	kinderconnect._purge_calls(text, integer), kinderconnect._purge_lists(text), kinderconnect._purge_runs(integer)
	TO kinderconnect_operator, kinderconnect_admin;
GRANT EXECUTE ON PROCEDURE kinderconnect.purge(integer) TO kinderconnect_operator, kinderconnect_admin;

-- Admins configure, and hold the secrets file's pen; what they cannot do is
-- read a secret.
GRANT INSERT, UPDATE, DELETE ON
	kinderconnect.endpoint, kinderconnect.dialect, kinderconnect.dialect_operation, kinderconnect.dialect_field,
	kinderconnect.agency_rule, kinderconnect.absence_limit, kinderconnect.unit_band, kinderconnect.absence_reason,
	kinderconnect.restricted_analyst
	TO kinderconnect_admin;
GRANT INSERT, UPDATE ON kinderconnect.organization, kinderconnect.provider TO kinderconnect_admin;
GRANT INSERT, UPDATE, DELETE ON kinderconnect.agency TO kinderconnect_admin;
GRANT EXECUTE ON FUNCTION
	kinderconnect.set_secret(text, text), kinderconnect.remove_secret(text), kinderconnect._has_secret(text),
	kinderconnect.arm(), kinderconnect.disarm(), kinderconnect._require_armed(),
	kinderconnect.enable_integration(text, text, text, text, integer, boolean, boolean, boolean), kinderconnect._send_anew(text, date), kinderconnect._require_group_password(text, text, boolean), kinderconnect._require_plain(text, text), kinderconnect.disable_integration(text),
	kinderconnect.add_provider(text, text, text, text), kinderconnect.disable_provider(text, text, text),
	kinderconnect.bind_manage(text, text), kinderconnect._check_sample(text), kinderconnect._check_rebind(text, text),
	kinderconnect._words(text), kinderconnect._sorted(text), kinderconnect._first_key(text), kinderconnect._last_key(text),
	kinderconnect._warn_of_rows(text, text[], text, text, text), kinderconnect._is_bound(text), kinderconnect._require_organization(text), kinderconnect._require_provider(text, text, text),
	kinderconnect._speaks(text, text), kinderconnect._zone(text), kinderconnect._detail(text, text),
	kinderconnect.test_connection(text), kinderconnect.api_customers(text), kinderconnect.api_locations(text, text),
	kinderconnect.api_agencies(text, text), kinderconnect.api_children(text, text, text, date),
	kinderconnect.api_readback(text, text, text, date, date),
	kinderconnect.check_dialect(text), kinderconnect._compile_dialect(text, text),
	kinderconnect.restrict_analyst(regrole, text[]), kinderconnect.unrestrict_analyst(regrole),
	kinderconnect._attendance_problems(text), kinderconnect._manage_fails(text), kinderconnect._location_zones(text), kinderconnect._location_candidates(text)
	TO kinderconnect_admin;

-- The clock and its health.
GRANT SELECT ON kinderconnect.stop_switch, kinderconnect.timetable, kinderconnect.provider_clock, kinderconnect.due
	TO kinderconnect_analyst, kinderconnect_operator, kinderconnect_admin;
GRANT EXECUTE ON FUNCTION
	kinderconnect._instant(timestamp, text), kinderconnect._runs_on(date, text, text[], date, integer[]),
	kinderconnect._scheduled(text, time, text[], date, integer[], text, timestamptz, boolean),
	kinderconnect._retry_after(integer, text), kinderconnect._due_at(timestamptz, timestamptz, timestamptz, timestamptz, integer, text),
	kinderconnect._due_as_of(timestamptz, text[]),
	kinderconnect._horizon_days(), kinderconnect._is_open(date, timestamptz, text)
	TO kinderconnect_analyst, kinderconnect_operator, kinderconnect_admin;
GRANT INSERT (reason), UPDATE (resumed_at, resumed_by) ON kinderconnect.stop_switch TO kinderconnect_operator, kinderconnect_admin;
GRANT USAGE ON SEQUENCE kinderconnect.stop_switch_stop_id_seq TO kinderconnect_operator, kinderconnect_admin;
GRANT EXECUTE ON FUNCTION kinderconnect.stop(text), kinderconnect.resume(), kinderconnect._stopped_because()
	TO kinderconnect_operator, kinderconnect_admin;
GRANT INSERT, UPDATE ON kinderconnect.provider_clock TO kinderconnect_operator;
GRANT UPDATE ON SEQUENCE kinderconnect.last_tick TO kinderconnect_operator;
GRANT SELECT, UPDATE ON SEQUENCE kinderconnect.next_look TO kinderconnect_operator, kinderconnect_admin;
GRANT EXECUTE ON FUNCTION kinderconnect._look_again() TO kinderconnect_operator, kinderconnect_admin;
GRANT EXECUTE ON FUNCTION
	kinderconnect._require_not_stopped(), kinderconnect._goes_on(bigint), kinderconnect._due_now(), kinderconnect._tick(integer, integer),
	kinderconnect._take_part(bigint), kinderconnect._set_clocks(text), kinderconnect._keep_time(bigint),
	kinderconnect._drop_waiting(text, text, text), kinderconnect._cron_settings()
	TO kinderconnect_operator;
GRANT EXECUTE ON PROCEDURE kinderconnect._night(text, text, text, date, date, boolean, integer, integer), kinderconnect.tick(integer, integer) TO kinderconnect_operator;
GRANT INSERT, UPDATE, DELETE ON kinderconnect.timetable TO kinderconnect_admin;
GRANT EXECUTE ON FUNCTION
	kinderconnect.set_schedule(text, text, time, text[], date, integer[], text, text), kinderconnect.clear_schedule(text, text, text)
	TO kinderconnect_admin;
GRANT SELECT ON kinderconnect.health_check, kinderconnect.health_threshold, kinderconnect.health, kinderconnect.health_summary, kinderconnect.progress,
	kinderconnect.last_night
	TO kinderconnect_analyst, kinderconnect_operator, kinderconnect_admin;
GRANT SELECT ON SEQUENCE kinderconnect.last_tick TO kinderconnect_analyst, kinderconnect_operator, kinderconnect_admin;
GRANT EXECUTE ON FUNCTION kinderconnect._last_tick(), kinderconnect._why_not_armed(), kinderconnect._cron_job(), kinderconnect._cron_doubled(), kinderconnect._moment(timestamptz), kinderconnect._months(text, date, date)
	TO kinderconnect_analyst, kinderconnect_operator, kinderconnect_admin;
GRANT EXECUTE ON FUNCTION
	kinderconnect._failure_word(text), kinderconnect._tell_begin(bigint), kinderconnect._tell_dead(bigint), kinderconnect._tell_end(bigint)
	TO kinderconnect_operator;
GRANT INSERT, UPDATE, DELETE ON kinderconnect.health_threshold TO kinderconnect_admin;
GRANT EXECUTE ON FUNCTION kinderconnect._require_check(text), kinderconnect.set_threshold(text, numeric, numeric), kinderconnect.reset_threshold(text) TO kinderconnect_admin;
