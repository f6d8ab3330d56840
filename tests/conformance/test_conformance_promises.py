"""The conformance suite of background jobs: the promises of an engine and their tests.

The tests know the port and `BackgroundJobs` only; `conformance_engine.py` alone names the engine. They run on a real
PostgreSQL with real worker processes (`conformance_worker.py`, whose tasks are in `conformance_tasks.py`); what tasks
do they write to files (`conformance_diary.py`). Each module has a database and its servers of its own.

That a search stays fast with a million finished jobs, and how fast all this is, the benchmarks measure.

Fire and forget
    enqueueing.async_and_sync_tasks_run_with_typed_arguments
    enqueueing.arguments_are_checked_against_the_signature_at_once
    enqueueing.a_job_runs_if_and_only_if_the_callers_transaction_commits
    enqueueing.code_without_an_event_loop_can_enqueue
    enqueueing.a_callers_own_sql_statement_can_enqueue_in_the_same_round_trip
    enqueueing.a_process_that_does_not_know_a_task_can_enqueue_it_by_name
    bad_cases.invalid_declarations_are_rejected
Delayed
    delays.a_job_starts_at_its_scheduled_time_and_not_before
    delays.a_job_scheduled_in_the_past_runs_at_once
    delays.a_scheduled_job_can_be_rescheduled_and_run_now
    delays.a_waiting_job_can_be_postponed
    delays.times_without_a_zone_or_two_times_are_rejected
Recurring
    by_the_clock.a_recurring_job_can_be_added_changed_paused_resumed_triggered_and_removed_at_run_time
    by_the_clock.a_recurring_job_declared_in_code_exists_once_a_server_runs_and_stays_paused
    by_the_clock.a_recurring_job_added_in_a_rolled_back_transaction_does_not_exist
    by_the_clock.daylight_saving_changes_neither_skip_nor_double_a_tick
    by_the_clock.each_tick_makes_one_job_however_many_servers_run
    by_the_clock.a_tick_comes_on_the_minute_and_not_before
    by_the_clock.a_policy_decides_what_happens_after_downtime
    by_the_clock.an_overlapping_tick_is_skipped_if_configured
    by_the_clock.a_paused_recurring_job_makes_no_jobs
Continuations
    flow.a_continuation_runs_when_its_parent_ends_as_required_and_is_cancelled_otherwise
    flow.a_continuation_of_a_finished_job_is_decided_at_once
    flow.a_chain_runs_in_order_and_stops_at_the_first_failure
    flow.a_fan_in_waits_for_all_parents
    flow.a_job_cannot_wait_for_one_that_does_not_exist
    flow.a_cancelled_parent_cancels_children_that_wait_for_its_success
    deaths.a_continuation_starts_exactly_once_whatever_crashes
Batches
    enqueueing.thousands_of_jobs_are_enqueued_in_one_call_all_or_none
    flow.a_batch_reports_its_progress_and_finishes_once
    flow.a_batch_with_a_failed_job_starts_continuations_on_failure
    flow.an_empty_batch_finishes_at_once_and_one_whose_block_raises_does_not_exist
Retries
    retries.an_error_is_retried_and_each_attempt_is_recorded
    retries.a_job_out_of_attempts_fails_and_its_hook_runs_once
    retries.final_exceptions_are_not_retried
    retries.retry_delays_grow_exponentially_with_jitter
    retries.by_default_there_are_ten_attempts_with_growing_delays
    retries.a_job_between_attempts_is_retrying_and_can_be_run_now
    retries.a_task_can_reschedule_itself_without_counting_as_a_failure
    retries.a_run_beyond_its_timeout_fails
States and history
    job_context.each_state_of_a_job_is_recorded_with_its_time_and_reason
    job_context.a_finished_job_shows_its_duration_latency_server_and_result
    job_context.an_unknown_job_is_none
Queues and priorities
    queues.a_server_serves_only_its_queues
    queues.jobs_start_by_priority_and_then_in_order
    queues.a_paused_queue_starts_no_jobs_and_running_jobs_finish
    queues.the_limit_of_a_queue_is_never_exceeded
    queues.the_limit_of_a_concurrency_key_is_never_exceeded_and_other_keys_do_not_wait
    queues.mutual_exclusion_holds_across_tasks_queues_and_failures
    queues.a_cancelled_job_frees_its_slot
    queues.one_job_of_a_unique_key_waits_even_while_another_runs
    queues.one_of_many_jobs_that_race_for_a_unique_key_wins
Servers
    deaths.jobs_of_a_killed_server_run_again_within_30_seconds_by_default
    deaths.a_supervisor_that_saw_a_server_die_need_not_wait
    job_context.a_running_job_shows_its_progress_log_and_server
Shutdown
    shutdown.graceful_shutdowns_under_load_lose_and_duplicate_nothing
    shutdown.a_shutdown_gives_running_jobs_time_and_claims_nothing_new
    shutdown.a_job_that_outlasts_the_grace_period_is_returned_without_counting_as_a_failure
    shutdown.a_long_task_resumes_elsewhere_from_its_checkpoint
Cancel
    cancelling.a_waiting_job_is_cancelled_at_once_whatever_it_waits_for
    cancelling.a_running_async_task_is_cancelled_at_its_next_await
    cancelling.a_running_sync_task_sees_its_cancellation_when_it_checks
    cancelling.a_task_that_ignores_its_cancellation_is_reported_after_a_deadline
    cancelling.cancelling_a_job_while_it_is_claimed_leaves_it_in_a_definite_state
    cancelling.a_cancellation_takes_effect_in_the_callers_transaction
Control
    control.a_failed_job_is_requeued_under_its_id_with_its_attempts_reset
    control.a_succeeded_job_is_copied_and_stays
    control.control_commands_are_idempotent_and_report_their_outcome
    control.the_priority_and_queue_of_a_waiting_job_can_be_changed
    control.all_failed_jobs_of_a_task_since_a_time_can_be_requeued
    control.jobs_can_be_cancelled_deleted_and_run_in_bulk
    control.control_commands_race_with_runs_and_each_other_and_lose_no_job
    control.a_control_command_takes_effect_in_the_callers_transaction
Job context
    job_context.a_running_job_shows_its_progress_log_and_server
    job_context.the_log_of_a_job_is_bounded
Search
    reading.a_query_filters_by_state_task_queue_user_text_error_and_time
    reading.pages_in_any_order_contain_each_job_once_and_link_both_ways
    reading.paging_is_not_disturbed_by_new_jobs
    reading.scheduled_jobs_are_listed_next_first
    reading.invalid_queries_are_rejected
    reading.results_from_one_snapshot_agree_whatever_happens_meanwhile
Retention
    reading.retention_prunes_by_state_and_age_but_nothing_that_others_wait_for
Statistics
    reading.statistics_match_the_jobs_that_ran
    reading.percentiles_report_task_durations
Trap: a draining server stops its heartbeat before its jobs have ended
    shutdown.a_draining_server_keeps_its_jobs_however_long_they_take
Trap: jobs stay `doing` when their server's row is pruned, or it comes back under its name
    deaths.a_server_that_was_suspended_overwrites_nothing_when_it_resumes
    deaths.a_restarted_server_of_the_same_name_leaves_no_job_stuck_running
Trap: a task that computes on the event loop starves the heartbeat; and: it is seen and reported
    deaths.a_task_that_blocks_the_event_loop_keeps_its_job_and_is_reported
Trap: nothing rescues stalled jobs unless the application does
    deaths.jobs_of_a_killed_server_run_again_within_30_seconds_by_default
Bad cases
    bad_cases.a_job_whose_task_no_server_knows_waits_and_delays_no_other
    bad_cases.arguments_that_no_longer_fit_fail_the_job
    bad_cases.a_result_that_cannot_be_stored_is_dropped_and_reported
    by_the_clock.a_bad_schedule_is_rejected_with_the_reason
    bad_cases.a_server_whose_clock_is_a_minute_off_works_correctly
    bad_cases.servers_of_two_versions_run_the_tasks_they_know_and_lose_nothing
    bad_cases.an_exception_that_cannot_be_formatted_is_recorded
    deaths.a_job_that_kills_its_servers_fails_and_does_not_harm_others
    bad_cases.a_server_logs_its_problems_and_continues
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
