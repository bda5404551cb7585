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
-- For DuckDB. Generated from templates/participant_minutes.sql: change that, not this.

WITH stays AS (
    SELECT
        session_id,
        stopped_at,
        item.user_id AS user_id,
        item.joined_at AS joined_at,
        item.left_at AS left_at
    FROM (
        SELECT
            s.id AS session_id,
            s.stopped_at AS stopped_at,
            unnest(from_json(s.peers, '[{"user_id": "VARCHAR", "joined_at": "TIMESTAMP", "left_at": "TIMESTAMP"}]')) AS item
        FROM sessions AS s
    ) AS unnested
),

chosen AS (
    SELECT
        CAST(date_trunc('month', joined_at) AS DATE) AS month,
        coalesce(user_id, '') AS user_id,
        session_id,
        epoch(coalesce(left_at, stopped_at)) - epoch(joined_at) AS seconds
    FROM stays
    WHERE joined_at >= CAST($since AS TIMESTAMP) AND joined_at < CAST($until AS TIMESTAMP)
)

SELECT
    month,
    user_id,
    count(DISTINCT session_id) AS sessions,
    count(*) AS joins,
    round(CAST(coalesce(sum(seconds), 0) / 60 AS DECIMAL(38, 9)), 2) AS minutes
FROM chosen
GROUP BY month, user_id
ORDER BY month, minutes DESC, user_id;
