-- How many people took part in each session, and how long did they stay?
--
-- `participants` are different users; somebody without a user id counts once per join. `joins` counts
-- everybody who came in, so somebody who came twice counts twice. A session in which nobody was has zeros.
-- The minutes are the time people spent connected; those who are still in have none yet. `stopped_at` is
-- when the session ended, empty while it is live.
--
{{ sql.parameters(
    since="timestamp in UTC without a zone, counts sessions started at or after it",
    until="timestamp in UTC without a zone, counts sessions started before it",
) }}

WITH chosen AS (
    SELECT
        id,
        room_id,
        {{ sql.utc("started_at") }} AS started_at,
        {{ sql.utc("stopped_at") }} AS stopped_at,
        peers
    FROM sessions
    WHERE {{ sql.within("started_at") | indent(4) }}
),

stays AS (
    {{ sql.items(
        "chosen AS s",
        "s.peers",
        {"session_id": "s.id"},
        {"peer_id": ("id", "text"), "user_id": ("user_id", "text"), "seconds": ("duration", "number")},
    ) | indent(4) }}
),

people AS (
    SELECT
        session_id,
        count(DISTINCT coalesce(nullif(user_id, ''), peer_id)) AS participants,
        count(*) AS joins,
        sum(seconds) AS seconds
    FROM stays
    GROUP BY session_id
)

SELECT
    chosen.id AS session_id,
    chosen.room_id,
    chosen.started_at,
    chosen.stopped_at,
    coalesce(people.participants, 0) AS participants,
    coalesce(people.joins, 0) AS joins,
    {{ sql.rounded("coalesce(people.seconds, 0) / 60", 2) }} AS participant_minutes
FROM chosen
LEFT JOIN people ON chosen.id = people.session_id
ORDER BY chosen.started_at, chosen.id;
