-- A customer complains about one session: what happened in it, in order?
--
-- Joins and leaves come from the session, failures and tracks from the events (which 100ms keeps for 30
-- days), recordings from theirs. `session stopped` is the time of `stopped_at`: the end that 100ms gives
-- (`ended_at`), else that of the last peer who left.
--
-- Parameters:
--   :'session_id'  text, the id of the session
--
-- For PostgreSQL. Generated from templates/session_lookup.sql: change that, not this.

WITH chosen AS (
    SELECT
        room_id,
        active,
        to_timestamp(extract(epoch FROM created_at)) AT TIME ZONE 'UTC' AS created_at,
        to_timestamp(extract(epoch FROM stopped_at)) AT TIME ZONE 'UTC' AS stopped_at,
        peers
    FROM sessions
    WHERE id = CAST(:'session_id' AS text)
),

stays AS (
    SELECT
        item.name AS peer_name,
        item.role AS peer_role,
        item.joined_at AT TIME ZONE 'UTC' AS joined_at,
        item.left_at AT TIME ZONE 'UTC' AS left_at,
        item.duration AS seconds
    FROM chosen AS s
    CROSS JOIN LATERAL jsonb_to_recordset(
        CASE jsonb_typeof(CAST(s.peers AS jsonb))
            WHEN 'array' THEN CAST(s.peers AS jsonb)
        END
    ) AS item (name text, role text, joined_at timestamptz, left_at timestamptz, duration numeric)
),

timeline AS (
    SELECT created_at AS moment, 'session created' AS what, CAST(NULL AS text) AS who, room_id AS detail
    FROM chosen
    UNION ALL
    SELECT stopped_at AS moment, 'session stopped' AS what, CAST(NULL AS text) AS who, room_id AS detail
    FROM chosen
    WHERE NOT active
    UNION ALL
    SELECT joined_at AS moment, 'joined' AS what, peer_name AS who, peer_role AS detail
    FROM stays
    WHERE joined_at IS NOT NULL
    UNION ALL
    SELECT
        left_at AS moment,
        'left' AS what,
        peer_name AS who,
        'after ' || CAST(round(CAST(seconds AS numeric), 0) AS text) || ' s' AS detail
    FROM stays
    WHERE left_at IS NOT NULL
    UNION ALL
    SELECT
        to_timestamp(extract(epoch FROM created_at)) AT TIME ZONE 'UTC' AS moment,
        type AS what,
        coalesce(nullif(data ->> 'user_name', ''), nullif(user_id, '')) AS who,
        peer_id AS detail
    FROM analytics_events
    WHERE session_id = CAST(:'session_id' AS text)
        AND type NOT IN ('peer.join', 'peer.leave')
    UNION ALL
    SELECT to_timestamp(extract(epoch FROM started_at)) AT TIME ZONE 'UTC' AS moment, 'recording started' AS what, started_by AS who, id AS detail
    FROM recordings
    WHERE session_id = CAST(:'session_id' AS text) AND started_at IS NOT NULL
    UNION ALL
    SELECT to_timestamp(extract(epoch FROM stopped_at)) AT TIME ZONE 'UTC' AS moment, 'recording ' || status AS what, stopped_by AS who, id AS detail
    FROM recordings
    WHERE session_id = CAST(:'session_id' AS text) AND stopped_at IS NOT NULL
)

SELECT
    moment,
    what,
    who,
    detail
FROM timeline
ORDER BY moment, what, who, detail;
