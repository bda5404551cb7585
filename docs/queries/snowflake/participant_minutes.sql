-- How many minutes did each participant spend in calls each month?
--
-- A participant is a user id; those who joined without one share a line whose `user_id` is empty, because
-- nothing says which of them are the same person. A stay counts in the month (UTC) of its `joined_at`, whole.
-- Where `left_at` is missing the session's `stopped_at` counts; those who are still in have no minutes yet.
--
-- Parameters:
--   $since  timestamp in UTC without a zone, counts stays that began at or after it
--   $until  timestamp in UTC without a zone, counts stays that began before it
--
-- For Snowflake. Generated from templates/participant_minutes.sql: change that, not this.

WITH stays AS (
    SELECT
        s.id AS session_id,
        CAST(convert_timezone('UTC', s.stopped_at) AS TIMESTAMP_NTZ) AS stopped_at,
        CAST(item.value:user_id AS VARCHAR) AS user_id,
        CAST(convert_timezone('UTC', CAST(item.value:joined_at AS TIMESTAMP_TZ)) AS TIMESTAMP_NTZ) AS joined_at,
        CAST(convert_timezone('UTC', CAST(item.value:left_at AS TIMESTAMP_TZ)) AS TIMESTAMP_NTZ) AS left_at
    FROM sessions AS s,
        LATERAL flatten(input => s.peers) AS item
),

chosen AS (
    SELECT
        CAST(date_trunc('month', joined_at) AS DATE) AS month,
        coalesce(user_id, '') AS user_id,
        session_id,
        datediff(microsecond, joined_at, coalesce(left_at, stopped_at)) / 1000000 AS seconds
    FROM stays
    WHERE joined_at >= CAST($since AS TIMESTAMP_NTZ) AND joined_at < CAST($until AS TIMESTAMP_NTZ)
)

SELECT
    month,
    user_id,
    count(DISTINCT session_id) AS sessions,
    count(*) AS joins,
    round(CAST(coalesce(sum(seconds), 0) / 60 AS NUMBER(38, 9)), 2) AS minutes
FROM chosen
GROUP BY month, user_id
ORDER BY month, minutes DESC, user_id;
