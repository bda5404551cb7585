-- How many minutes did each participant spend in calls each month?
--
-- A participant is a user id; those who joined without one share a line whose `user_id` is empty, because
-- nothing says which of them are the same person. A stay counts in the month (UTC) of its `joined_at`, whole.
-- Where `left_at` is missing the session's `stopped_at` counts; those who are still in have no minutes yet.
--
-- Parameters:
--   @since  timestamp in UTC without a zone, counts stays that began at or after it
--   @until  timestamp in UTC without a zone, counts stays that began before it
--
-- For BigQuery. Generated from templates/participant_minutes.sql: change that, not this.

WITH stays AS (
    SELECT
        s.id AS session_id,
        DATETIME(s.stopped_at) AS stopped_at,
        JSON_VALUE(item, '$.user_id') AS user_id,
        DATETIME(CAST(JSON_VALUE(item, '$.joined_at') AS TIMESTAMP)) AS joined_at,
        DATETIME(CAST(JSON_VALUE(item, '$.left_at') AS TIMESTAMP)) AS left_at
    FROM sessions AS s
    CROSS JOIN UNNEST(JSON_QUERY_ARRAY(s.peers)) AS item
),

chosen AS (
    SELECT
        CAST(DATETIME_TRUNC(joined_at, MONTH) AS DATE) AS month,
        coalesce(user_id, '') AS user_id,
        session_id,
        DATETIME_DIFF(coalesce(left_at, stopped_at), joined_at, MICROSECOND) / 1000000 AS seconds
    FROM stays
    WHERE joined_at >= CAST(@since AS DATETIME) AND joined_at < CAST(@until AS DATETIME)
)

SELECT
    month,
    user_id,
    count(DISTINCT session_id) AS sessions,
    count(*) AS joins,
    round(CAST(coalesce(sum(seconds), 0) / 60 AS NUMERIC), 2) AS minutes
FROM chosen
GROUP BY month, user_id
ORDER BY month, minutes DESC, user_id;
