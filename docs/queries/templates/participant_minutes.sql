-- How many minutes did each participant spend in calls each month?
--
-- A participant is a user id; those who joined without one share a line whose `user_id` is empty, because
-- nothing says which of them are the same person. A stay counts in the month (UTC) of its `joined_at`, whole.
-- Where `left_at` is missing the session's `stopped_at` counts; those who are still in have no minutes yet.
--
{{ sql.parameters(
    since="timestamp in UTC without a zone, counts stays that began at or after it",
    until="timestamp in UTC without a zone, counts stays that began before it",
) }}

WITH stays AS (
    {{ sql.items(
        "sessions AS s",
        "s.peers",
        {"session_id": "s.id", "stopped_at": sql.utc("s.stopped_at")},
        {
            "user_id": ("user_id", "text"),
            "joined_at": ("joined_at", "time"),
            "left_at": ("left_at", "time"),
        },
    ) | indent(4) }}
),

chosen AS (
    SELECT
        {{ sql.month("joined_at") }} AS month,
        coalesce(user_id, '') AS user_id,
        session_id,
        {{ sql.seconds_between("joined_at", "coalesce(left_at, stopped_at)") }} AS seconds
    FROM stays
    WHERE joined_at >= {{ sql.time_parameter("since") }} AND joined_at < {{ sql.time_parameter("until") }}
)

SELECT
    month,
    user_id,
    count(DISTINCT session_id) AS sessions,
    count(*) AS joins,
    {{ sql.rounded("coalesce(sum(seconds), 0) / 60", 2) }} AS minutes
FROM chosen
GROUP BY month, user_id
ORDER BY month, minutes DESC, user_id;
