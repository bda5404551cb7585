-- How many sessions did each app hold per day, how many people joined, and for how many minutes?
--
-- A session counts on the day (UTC) it started. One that is still live counts as well, but has no
-- duration yet. `joins` counts everybody who came in, so somebody who came twice counts twice.
-- `session_minutes` goes from `started_at` to `stopped_at`, which is always known once a session is over
-- (`ended_at` is not); `participant_minutes` is the time that people spent connected.
--
{{ sql.parameters(
    since="timestamp in UTC without a zone, the first moment that counts",
    until="timestamp in UTC without a zone, the first moment that does not",
) }}

WITH chosen AS (
    SELECT
        id,
        CAST({{ sql.utc("started_at") }} AS DATE) AS day,
        app_id,
        active,
        duration,
        peers
    FROM sessions
    WHERE {{ sql.within("started_at") | indent(4) }}
),

stays AS (
    {{ sql.items("chosen AS s", "s.peers", {"session_id": "s.id"}, {"seconds": ("duration", "number")}) | indent(4) }}
),

people AS (
    SELECT
        session_id,
        count(*) AS joins,
        sum(seconds) AS seconds
    FROM stays
    GROUP BY session_id
)

SELECT
    chosen.day,
    chosen.app_id,
    count(*) AS sessions,
    count(CASE WHEN chosen.active THEN 1 END) AS live,
    {{ sql.integer("coalesce(sum(people.joins), 0)") }} AS joins,
    {{ sql.rounded("coalesce(sum(chosen.duration), 0) / 60", 2) }} AS session_minutes,
    {{ sql.rounded("coalesce(sum(people.seconds), 0) / 60", 2) }} AS participant_minutes
FROM chosen
LEFT JOIN people ON chosen.id = people.session_id
GROUP BY chosen.day, chosen.app_id
ORDER BY chosen.day, chosen.app_id;
