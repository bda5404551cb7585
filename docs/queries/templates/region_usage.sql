-- Where are the calls: how many rooms, sessions, participants' minutes and recordings does each region have?
--
-- The region is that of the room, as it is now. Rooms that name no region, and sessions and recordings whose
-- room is not in the table, share a line with the region `(none)`. Sessions count by `started_at`, recordings
-- by `created_at`. `rooms` counts those that had a session or a recording in the period.
--
{{ sql.parameters(
    since="timestamp in UTC without a zone, the first moment that counts",
    until="timestamp in UTC without a zone, the first moment that does not",
) }}

WITH chosen AS (
    SELECT
        id,
        room_id,
        peers
    FROM sessions
    WHERE {{ sql.within("started_at") | indent(4) }}
),

stays AS (
    {{ sql.items("chosen AS s", "s.peers", {"room_id": "s.room_id"}, {"seconds": ("duration", "number")}) | indent(4) }}
),

use_of_rooms AS (
    SELECT room_id, 1 AS sessions, 0 AS recordings, 0 AS seconds
    FROM chosen
    UNION ALL
    SELECT room_id, 0 AS sessions, 0 AS recordings, coalesce(seconds, 0) AS seconds
    FROM stays
    UNION ALL
    SELECT room_id, 0 AS sessions, 1 AS recordings, 0 AS seconds
    FROM recordings
    WHERE {{ sql.within("created_at") | indent(4) }}
)

SELECT
    coalesce(nullif(rooms.region, ''), '(none)') AS region,
    count(DISTINCT use_of_rooms.room_id) AS rooms,
    {{ sql.integer("sum(use_of_rooms.sessions)") }} AS sessions,
    {{ sql.rounded("sum(use_of_rooms.seconds) / 60", 2) }} AS participant_minutes,
    {{ sql.integer("sum(use_of_rooms.recordings)") }} AS recordings
FROM use_of_rooms
LEFT JOIN rooms ON use_of_rooms.room_id = rooms.id
GROUP BY coalesce(nullif(rooms.region, ''), '(none)')
ORDER BY sessions DESC, region;
