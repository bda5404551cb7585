-- How many people took part in each session, and how long did they stay?
--
-- `participants` are different users; somebody without a user id counts once per join. `joins` counts
-- everybody who came in, so somebody who came twice counts twice. A session in which nobody was has zeros.
-- The minutes are the time people spent connected; those who are still in have none yet. `stopped_at` is
-- when the session ended, empty while it is live.
--
-- Parameters:
--   $since  timestamp in UTC without a zone, counts sessions started at or after it
--   $until  timestamp in UTC without a zone, counts sessions started before it
--
-- For DuckDB. Generated from templates/session_participants.sql: change that, not this.

WITH chosen AS (
    SELECT
        id,
        room_id,
        started_at AS started_at,
        stopped_at AS stopped_at,
        peers
    FROM sessions
    WHERE started_at >= CAST($since AS TIMESTAMP)
        AND started_at < CAST($until AS TIMESTAMP)
),

stays AS (
    SELECT
        session_id,
        item.id AS peer_id,
        item.user_id AS user_id,
        item.duration AS seconds
    FROM (
        SELECT
            s.id AS session_id,
            unnest(from_json(s.peers, '[{"id": "VARCHAR", "user_id": "VARCHAR", "duration": "DOUBLE"}]')) AS item
        FROM chosen AS s
    ) AS unnested
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
    round(CAST(coalesce(people.seconds, 0) / 60 AS DECIMAL(38, 9)), 2) AS participant_minutes
FROM chosen
LEFT JOIN people ON chosen.id = people.session_id
ORDER BY chosen.started_at, chosen.id;
