-- How many minutes did each participant spend in calls each month?
--
-- A participant is a user id; those who joined without one share a line whose `user_id` is empty, because
-- nothing says which of them are the same person. A stay counts in the month (UTC) of its `joined_at`, whole.
-- Where `left_at` is missing the session's `stopped_at` counts; those who are still in have no minutes yet.
--
-- Parameters:
--   :'since'  timestamp in UTC without a zone, counts stays that began at or after it
--   :'until'  timestamp in UTC without a zone, counts stays that began before it
--
-- For PostgreSQL. Generated from templates/participant_minutes.sql: change that, not this.

WITH stays AS (
    SELECT
        s.id AS session_id,
        to_timestamp(extract(epoch FROM s.stopped_at)) AT TIME ZONE 'UTC' AS stopped_at,
        item.user_id AS user_id,
        item.joined_at AT TIME ZONE 'UTC' AS joined_at,
        item.left_at AT TIME ZONE 'UTC' AS left_at
    FROM sessions AS s
    CROSS JOIN LATERAL jsonb_to_recordset(
        CASE jsonb_typeof(CAST(s.peers AS jsonb))
            WHEN 'array' THEN CAST(s.peers AS jsonb)
        END
    ) AS item (user_id text, joined_at timestamptz, left_at timestamptz)
),

chosen AS (
    SELECT
        CAST(date_trunc('month', joined_at) AS DATE) AS month,
        coalesce(user_id, '') AS user_id,
        session_id,
        extract(epoch FROM coalesce(left_at, stopped_at) - joined_at) AS seconds
    FROM stays
    WHERE joined_at >= CAST(:'since' AS timestamp) AND joined_at < CAST(:'until' AS timestamp)
)

SELECT
    month,
    user_id,
    count(DISTINCT session_id) AS sessions,
    count(*) AS joins,
    round(CAST(coalesce(sum(seconds), 0) / 60 AS numeric), 2) AS minutes
FROM chosen
GROUP BY month, user_id
ORDER BY month, minutes DESC, user_id;
