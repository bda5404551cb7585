-- Which rooms do people come to, how long do they stay, and how many leave within minutes?
--
-- `people` are different users; somebody without a user id counts once per join. Only those who have left
-- (`left_at` of the peer, not the end of the session) count for `median_stay_seconds`{{ sql.how_exact }} and
-- `left_early`.
--
{{ sql.parameters(
    since="timestamp in UTC without a zone, counts sessions started at or after it",
    until="timestamp in UTC without a zone, counts sessions started before it",
    early_seconds="number, a stay shorter than this is an early exit",
) }}

WITH stays AS (
    {{ sql.items(
        "sessions AS s",
        "s.peers",
        {"room_id": "s.room_id", "session_id": "s.id"},
        {
            "peer_id": ("id", "text"),
            "user_id": ("user_id", "text"),
            "left_at": ("left_at", "time"),
            "seconds": ("duration", "number"),
        },
        sql.within("s.started_at"),
    ) | indent(4) }}
),

joins AS (
    SELECT
        room_id,
        session_id,
        coalesce(nullif(user_id, ''), peer_id) AS person,
        CASE WHEN left_at IS NOT NULL THEN seconds END AS stay_seconds
    FROM stays
),

per_room AS (
    SELECT
        room_id,
        count(DISTINCT session_id) AS sessions,
        count(*) AS joins,
        count(DISTINCT person) AS people,
        count(stay_seconds) AS left_again,
        {{ sql.percentile("stay_seconds", 0.5) }} AS median_stay_seconds,
        count(CASE WHEN stay_seconds < {{ sql.number_parameter("early_seconds") }} THEN 1 END) AS left_early
    FROM joins
    GROUP BY room_id
)

SELECT
    per_room.room_id,
    rooms.name AS room_name,
    per_room.sessions,
    per_room.joins,
    per_room.people,
    {{ sql.rounded("per_room.median_stay_seconds", 3) }} AS median_stay_seconds,
    per_room.left_early,
    {{ sql.share("per_room.left_early", "per_room.left_again") }} AS early_share
FROM per_room
LEFT JOIN rooms ON per_room.room_id = rooms.id
ORDER BY per_room.joins DESC, per_room.room_id;
