"""The conformance suite of background jobs: what an engine promises, and the tests that hold it to that.

The tests know the port and `BackgroundJobs` only; `conformance_engine.py` alone names the engine. They run on a real
PostgreSQL with real worker processes (`conformance_worker.py`, whose tasks are in `conformance_tasks.py`); what tasks
do they write to files (`conformance_diary.py`). Each module has a database and its servers of its own.

That a search stays fast with a million finished jobs, and how fast all this is, the benchmarks measure.

Fire and forget
    enqueueing.async_and_sync_tasks_run_with_typed_arguments
    enqueueing.arguments_are_checked_against_the_signature_at_once
    enqueueing.a_job_runs_if_and_only_if_the_callers_transaction_commits
    enqueueing.code_without_an_event_loop_enqueues_too
    enqueueing.a_statement_of_the_callers_own_queues_a_job_in_the_same_round_trip
    enqueueing.a_process_that_does_not_know_a_task_may_queue_its_jobs
    bad_cases.what_cannot_be_declared_is_refused
Delayed
    delays.a_job_starts_at_its_time_and_not_before
    delays.what_is_due_already_runs_at_once
    delays.a_scheduled_job_is_rescheduled_and_run_now
    delays.a_waiting_job_is_put_off
    delays.times_without_zone_or_two_times_are_refused
Recurring
    by_the_clock.one_is_added_changed_paused_resumed_triggered_and_removed_at_run_time
    by_the_clock.one_that_is_declared_in_code_is_there_once_a_server_runs_and_a_pause_of_it_stays
    by_the_clock.one_that_is_added_in_a_transaction_that_rolls_back_never_was
    by_the_clock.clocks_that_change_leave_no_tick_out_and_double_none
    by_the_clock.one_job_a_tick_however_many_servers
    by_the_clock.a_tick_comes_with_the_minute_and_not_before
    by_the_clock.what_happens_after_downtime_is_a_policy
    by_the_clock.no_tick_while_the_last_one_still_runs_if_so_asked
    by_the_clock.a_paused_one_makes_no_jobs
Continuations
    flow.b_runs_when_a_has_ended_as_it_should_and_is_cancelled_otherwise
    flow.a_continuation_of_a_job_that_has_ended_already_is_decided_at_once
    flow.a_chain_runs_in_its_order_and_breaks_as_a_whole
    flow.fan_in_waits_for_all
    flow.what_there_is_not_cannot_be_waited_for
    flow.a_cancelled_parent_cancels_what_waits_for_its_success
    deaths.a_continuation_starts_exactly_once_whatever_dies
Batches
    enqueueing.thousands_are_queued_in_one_call_all_or_none
    flow.a_batch_tells_its_progress_and_ends_once
    flow.a_batch_with_a_failed_job_starts_what_waits_for_that
    flow.an_empty_batch_ends_at_once_and_one_whose_block_raises_never_was
Retries
    retries.an_error_is_retried_and_each_attempt_is_kept
    retries.a_job_fails_when_no_attempt_is_left_and_that_is_settled_once
    retries.final_exceptions_are_not_retried
    retries.waits_grow_exponentially_with_jitter
    retries.by_default_there_are_ten_attempts_with_growing_waits
    retries.a_job_between_two_attempts_is_retrying_and_can_be_run_now
    retries.a_task_may_ask_to_run_again_which_is_no_failure
    retries.a_run_that_takes_longer_than_its_task_allows_has_failed
States and history
    job_context.a_job_goes_through_its_states_each_with_its_time_and_reason
    job_context.a_finished_job_tells_its_duration_latency_server_and_result
    job_context.what_there_is_not_is_none
Queues and priorities
    queues.a_server_serves_the_queues_it_is_given_and_no_other
    queues.higher_priorities_go_first_and_equals_in_their_order
    queues.nothing_of_a_paused_queue_starts_and_what_runs_continues
    queues.the_limit_of_a_queue_is_never_exceeded
    queues.the_limit_of_a_key_is_never_exceeded_and_other_keys_do_not_wait
    queues.mutual_exclusion_holds_across_tasks_queues_and_failures
    queues.what_is_cancelled_frees_its_place
    queues.of_jobs_with_one_unique_key_one_waits_and_may_follow_one_that_runs
    queues.of_many_that_race_for_a_unique_key_one_wins
Servers
    deaths.jobs_of_a_killed_server_run_again_within_30_seconds_by_default
    deaths.whoever_saw_a_server_die_need_not_wait
    job_context.a_running_job_shows_its_progress_lines_and_server
Shutdown
    shutdown.clean_shutdowns_under_load_lose_nothing_and_double_nothing
    shutdown.running_jobs_get_their_time_and_nothing_new_is_claimed
    shutdown.what_does_not_end_in_time_is_handed_back_as_no_failure
    shutdown.a_long_task_continues_elsewhere_from_its_checkpoint
Cancel
    cancelling.a_waiting_job_is_gone_at_once_whatever_it_waits_for
    cancelling.a_running_async_task_is_cancelled_at_its_next_await
    cancelling.a_running_sync_task_sees_it_when_it_looks
    cancelling.a_task_that_does_not_heed_it_is_reported_after_its_deadline
    cancelling.cancelling_what_is_being_claimed_never_leaves_a_job_in_between
    cancelling.a_cancellation_takes_effect_in_the_callers_transaction
Control
    control.a_failed_job_is_requeued_under_its_id_with_its_failures_forgotten
    control.a_succeeded_job_is_repeated_by_a_new_one_and_stays
    control.orders_may_be_repeated_and_say_what_came_of_them
    control.priority_and_queue_of_a_waiting_job_are_changed
    control.all_failed_jobs_of_a_task_since_a_time_are_requeued
    control.jobs_are_cancelled_deleted_and_run_in_bulk
    control.orders_race_with_runs_and_with_each_other_and_lose_no_job
    control.an_order_takes_effect_in_the_callers_transaction
Job context
    job_context.a_running_job_shows_its_progress_lines_and_server
    job_context.lines_of_a_job_are_bounded
Search
    reading.a_query_finds_by_state_task_queue_user_text_error_and_time
    reading.pages_in_any_order_hold_each_job_once_and_lead_both_ways
    reading.a_walk_through_pages_is_not_disturbed_by_new_jobs
    reading.what_comes_next_is_the_first_of_what_waits_for_a_time
    reading.what_cannot_be_asked_is_refused
    reading.answers_of_one_moment_agree_whatever_happens_meanwhile
Retention
    reading.retention_prunes_by_state_and_age_and_nothing_that_is_waited_for
Statistics
    reading.statistics_are_those_of_what_ran
    reading.percentiles_tell_how_long_tasks_took
Trap: a draining server stops its heartbeat before its jobs have ended
    shutdown.a_draining_server_keeps_its_jobs_however_long_they_take
Trap: jobs stay `doing` when their server's row is pruned, or it comes back under its name
    deaths.a_server_that_stood_still_undoes_nothing_when_it_wakes_up
    deaths.a_server_that_comes_back_under_its_name_leaves_no_job_running_nowhere
Trap: a task that computes on the event loop starves the heartbeat; and: it is seen and reported
    deaths.a_task_that_computes_on_the_loop_keeps_its_job_and_is_reported
Trap: nothing rescues stalled jobs unless the application does
    deaths.jobs_of_a_killed_server_run_again_within_30_seconds_by_default
Bad cases
    bad_cases.a_job_whose_task_no_server_knows_waits_untouched_and_holds_up_no_other
    bad_cases.arguments_that_no_longer_fit
    bad_cases.a_result_that_cannot_be_stored
    by_the_clock.a_bad_schedule_is_refused_with_the_reason
    bad_cases.a_server_whose_clock_is_wrong_by_a_minute
    bad_cases.servers_of_two_versions_run_what_they_know_and_lose_nothing
    bad_cases.an_exception_that_cannot_be_shown
    deaths.a_job_that_kills_its_servers_ends_as_failed_and_others_do_not_suffer
    bad_cases.the_server_names_its_troubles_and_continues
"""

import re
from pathlib import Path

_TEST = re.compile(r"^(?:async )?def test_(\w+)", re.MULTILINE)
_LISTED = re.compile(r"^    (\w+)\.(\w+)$", re.MULTILINE)


def test_every_promise_has_its_tests_and_every_test_its_promise() -> None:
    folder = Path(__file__).parent
    there = {
        (path.stem.removeprefix("test_conformance_"), name)
        for path in folder.glob("test_conformance_*.py")
        if path != Path(__file__)
        for name in _TEST.findall(path.read_text())
    }
    assert set(_LISTED.findall(__doc__ or "")) == there


def test_one_module_names_the_engine() -> None:
    naming = {path.name for path in Path(__file__).parent.glob("*.py") if "postgresengine" in path.read_text().lower()}
    assert naming == {"conformance_engine.py", Path(__file__).name}
