-- How many people took part in each session, and how long did they stay?
--
-- `participants` are different users; somebody without a user id counts once per join. `joins` counts
-- everybody who came in, so somebody who came twice counts twice. A session in which nobody was has zeros.
-- The minutes are the time people spent connected; those who are still in have none yet. `stopped_at` is
-- when the session ended, empty while it is live.
--
-- Parameters:
--   :'since'  timestamp in UTC without a zone, counts sessions started at or after it
--   :'until'  timestamp in UTC without a zone, counts sessions started before it
--
-- For PostgreSQL. Generated from templates/session_participants.sql: change that, not this.

WITH chosen AS (
    SELECT
        id,
        room_id,
        to_timestamp(extract(epoch FROM started_at)) AT TIME ZONE 'UTC' AS started_at,
        to_timestamp(extract(epoch FROM stopped_at)) AT TIME ZONE 'UTC' AS stopped_at,
        peers
    FROM sessions
    WHERE to_timestamp(extract(epoch FROM started_at)) AT TIME ZONE 'UTC' >= CAST(:'since' AS timestamp)
        AND to_timestamp(extract(epoch FROM started_at)) AT TIME ZONE 'UTC' < CAST(:'until' AS timestamp)
),

stays AS (
    SELECT
        s.id AS session_id,
        item.id AS peer_id,
        item.user_id AS user_id,
        item.duration AS seconds
    FROM chosen AS s
    CROSS JOIN LATERAL jsonb_to_recordset(
        CASE jsonb_typeof(CAST(s.peers AS jsonb))
            WHEN 'array' THEN CAST(s.peers AS jsonb)
        END
    ) AS item (id text, user_id text, duration numeric)
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
    round(CAST(coalesce(people.seconds, 0) / 60 AS numeric), 2) AS participant_minutes
FROM chosen
LEFT JOIN people ON chosen.id = people.session_id
ORDER BY chosen.started_at, chosen.id;
