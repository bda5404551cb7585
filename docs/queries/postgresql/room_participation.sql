-- Which rooms do people come to, how long do they stay, and how many leave within minutes?
--
-- `people` are different users; somebody without a user id counts once per join. Only those who have left
-- (`left_at` of the peer, not the end of the session) count for `median_stay_seconds` and
-- `left_early`.
--
-- Parameters:
--   :'since'          timestamp in UTC without a zone, counts sessions started at or after it
--   :'until'          timestamp in UTC without a zone, counts sessions started before it
--   :'early_seconds'  number, a stay shorter than this is an early exit
--
-- For PostgreSQL. Generated from templates/room_participation.sql: change that, not this.

WITH stays AS (
    SELECT
        s.room_id AS room_id,
        s.id AS session_id,
        item.id AS peer_id,
        item.user_id AS user_id,
        item.left_at AT TIME ZONE 'UTC' AS left_at,
        item.duration AS seconds
    FROM sessions AS s
    CROSS JOIN LATERAL jsonb_to_recordset(
        CASE jsonb_typeof(CAST(s.peers AS jsonb))
            WHEN 'array' THEN CAST(s.peers AS jsonb)
        END
    ) AS item (id text, user_id text, left_at timestamptz, duration numeric)
    WHERE to_timestamp(extract(epoch FROM s.started_at)) AT TIME ZONE 'UTC' >= CAST(:'since' AS timestamp)
        AND to_timestamp(extract(epoch FROM s.started_at)) AT TIME ZONE 'UTC' < CAST(:'until' AS timestamp)
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
        percentile_cont(0.5) WITHIN GROUP (ORDER BY stay_seconds) AS median_stay_seconds,
        count(CASE WHEN stay_seconds < CAST(:'early_seconds' AS numeric) THEN 1 END) AS left_early
    FROM joins
    GROUP BY room_id
)

SELECT
    per_room.room_id,
    rooms.name AS room_name,
    per_room.sessions,
    per_room.joins,
    per_room.people,
    round(CAST(per_room.median_stay_seconds AS numeric), 3) AS median_stay_seconds,
    per_room.left_early,
    round(CAST(per_room.left_early AS numeric) / nullif(per_room.left_again, 0), 3) AS early_share
FROM per_room
LEFT JOIN rooms ON per_room.room_id = rooms.id
ORDER BY per_room.joins DESC, per_room.room_id;
