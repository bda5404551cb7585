-- Where are the calls: how many rooms, sessions, participants' minutes and recordings does each region have?
--
-- The region is that of the room, as it is now. Rooms that name no region, and sessions and recordings whose
-- room is not in the table, share a line with the region `(none)`. Sessions count by `started_at`, recordings
-- by `created_at`. `rooms` counts those that had a session or a recording in the period.
--
-- Parameters:
--   :'since'  timestamp in UTC without a zone, the first moment that counts
--   :'until'  timestamp in UTC without a zone, the first moment that does not
--
-- For PostgreSQL. Generated from templates/region_usage.sql: change that, not this.

WITH chosen AS (
    SELECT
        id,
        room_id,
        peers
    FROM sessions
    WHERE to_timestamp(extract(epoch FROM started_at)) AT TIME ZONE 'UTC' >= CAST(:'since' AS timestamp)
        AND to_timestamp(extract(epoch FROM started_at)) AT TIME ZONE 'UTC' < CAST(:'until' AS timestamp)
),

stays AS (
    SELECT
        s.room_id AS room_id,
        item.duration AS seconds
    FROM chosen AS s
    CROSS JOIN LATERAL jsonb_to_recordset(
        CASE jsonb_typeof(CAST(s.peers AS jsonb))
            WHEN 'array' THEN CAST(s.peers AS jsonb)
        END
    ) AS item (duration numeric)
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
    WHERE to_timestamp(extract(epoch FROM created_at)) AT TIME ZONE 'UTC' >= CAST(:'since' AS timestamp)
        AND to_timestamp(extract(epoch FROM created_at)) AT TIME ZONE 'UTC' < CAST(:'until' AS timestamp)
)

SELECT
    coalesce(nullif(rooms.region, ''), '(none)') AS region,
    count(DISTINCT use_of_rooms.room_id) AS rooms,
    CAST(sum(use_of_rooms.sessions) AS bigint) AS sessions,
    round(CAST(sum(use_of_rooms.seconds) / 60 AS numeric), 2) AS participant_minutes,
    CAST(sum(use_of_rooms.recordings) AS bigint) AS recordings
FROM use_of_rooms
LEFT JOIN rooms ON use_of_rooms.room_id = rooms.id
GROUP BY coalesce(nullif(rooms.region, ''), '(none)')
ORDER BY sessions DESC, region;
