-- Every job, wherever its row is.
CREATE VIEW bulkport.all_jobs AS
SELECT job_id, task, queue, priority, state, parked, args, user_id, created_at, ready_at, due_at, started_at,
       NULL::timestamptz AS finished_at, runs, failures, worker_id, server, error_type, error, NULL::jsonb AS result,
       unique_key, concurrency_key, concurrency_limit, rate_key, batch_id, recurring_id, origin_id,
       parents_left, NULL::text AS search_text
FROM bulkport.jobs
UNION ALL
SELECT job_id, task, queue, priority, state, false, args, user_id, created_at, ready_at, NULL, started_at,
       finished_at, runs, failures, NULL, server, error_type, error, result,
       unique_key, concurrency_key, concurrency_limit, rate_key, batch_id, recurring_id, origin_id,
       0, search_text
FROM bulkport.finished_jobs;
