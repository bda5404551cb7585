-- Where are the calls: how many rooms, sessions, participants' minutes and recordings does each region have?
--
-- The region is that of the room, as it is now. Rooms that name no region, and sessions and recordings whose
-- room is not in the table, share a line with the region `(none)`. Sessions count by `started_at`, recordings
-- by `created_at`. `rooms` counts those that had a session or a recording in the period.
--
-- Parameters:
--   $since  timestamp in UTC without a zone, the first moment that counts
--   $until  timestamp in UTC without a zone, the first moment that does not
--
-- For DuckDB. Generated from templates/region_usage.sql: change that, not this.

WITH chosen AS (
    SELECT
        id,
        room_id,
        peers
    FROM sessions
    WHERE started_at >= CAST($since AS TIMESTAMP)
        AND started_at < CAST($until AS TIMESTAMP)
),

stays AS (
    SELECT
        room_id,
        item.duration AS seconds
    FROM (
        SELECT
            s.room_id AS room_id,
            unnest(from_json(s.peers, '[{"duration": "DOUBLE"}]')) AS item
        FROM chosen AS s
    ) AS unnested
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
    WHERE created_at >= CAST($since AS TIMESTAMP)
        AND created_at < CAST($until AS TIMESTAMP)
)

SELECT
    coalesce(nullif(rooms.region, ''), '(none)') AS region,
    count(DISTINCT use_of_rooms.room_id) AS rooms,
    CAST(sum(use_of_rooms.sessions) AS BIGINT) AS sessions,
    round(CAST(sum(use_of_rooms.seconds) / 60 AS DECIMAL(38, 9)), 2) AS participant_minutes,
    CAST(sum(use_of_rooms.recordings) AS BIGINT) AS recordings
FROM use_of_rooms
LEFT JOIN rooms ON use_of_rooms.room_id = rooms.id
GROUP BY coalesce(nullif(rooms.region, ''), '(none)')
ORDER BY sessions DESC, region;
