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
-- For Snowflake. Generated from templates/session_participants.sql: change that, not this.

WITH chosen AS (
    SELECT
        id,
        room_id,
        CAST(convert_timezone('UTC', started_at) AS TIMESTAMP_NTZ) AS started_at,
        CAST(convert_timezone('UTC', stopped_at) AS TIMESTAMP_NTZ) AS stopped_at,
        peers
    FROM sessions
    WHERE CAST(convert_timezone('UTC', started_at) AS TIMESTAMP_NTZ) >= CAST($since AS TIMESTAMP_NTZ)
        AND CAST(convert_timezone('UTC', started_at) AS TIMESTAMP_NTZ) < CAST($until AS TIMESTAMP_NTZ)
),

stays AS (
    SELECT
        s.id AS session_id,
        CAST(item.value:id AS VARCHAR) AS peer_id,
        CAST(item.value:user_id AS VARCHAR) AS user_id,
        CAST(item.value:duration AS NUMBER(38, 9)) AS seconds
    FROM chosen AS s,
        LATERAL flatten(input => s.peers) AS item
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
    round(CAST(coalesce(people.seconds, 0) / 60 AS NUMBER(38, 9)), 2) AS participant_minutes
FROM chosen
LEFT JOIN people ON chosen.id = people.session_id
ORDER BY chosen.started_at, chosen.id;
