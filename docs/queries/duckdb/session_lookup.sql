-- A customer complains about one session: what happened in it, in order?
--
-- Joins and leaves come from the session, failures and tracks from the events (which 100ms keeps for 30
-- days), recordings from theirs. `session stopped` is the time of `stopped_at`: the end that 100ms gives
-- (`ended_at`), else that of the last peer who left.
--
-- Parameters:
--   $session_id  text, the id of the session
--
-- For DuckDB. Generated from templates/session_lookup.sql: change that, not this.

WITH chosen AS (
    SELECT
        room_id,
        active,
        created_at AS created_at,
        stopped_at AS stopped_at,
        peers
    FROM sessions
    WHERE id = CAST($session_id AS VARCHAR)
),

stays AS (
    SELECT
        item.name AS peer_name,
        item.role AS peer_role,
        item.joined_at AS joined_at,
        item.left_at AS left_at,
        item.duration AS seconds
    FROM (
        SELECT
            unnest(from_json(s.peers, '[{"name": "VARCHAR", "role": "VARCHAR", "joined_at": "TIMESTAMP", "left_at": "TIMESTAMP", "duration": "DOUBLE"}]')) AS item
        FROM chosen AS s
    ) AS unnested
),

timeline AS (
    SELECT created_at AS moment, 'session created' AS what, CAST(NULL AS VARCHAR) AS who, room_id AS detail
    FROM chosen
    UNION ALL
    SELECT stopped_at AS moment, 'session stopped' AS what, CAST(NULL AS VARCHAR) AS who, room_id AS detail
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
        'after ' || CAST(round(CAST(seconds AS DECIMAL(38, 9)), 0) AS VARCHAR) || ' s' AS detail
    FROM stays
    WHERE left_at IS NOT NULL
    UNION ALL
    SELECT
        created_at AS moment,
        type AS what,
        coalesce(nullif(data ->> 'user_name', ''), nullif(user_id, '')) AS who,
        peer_id AS detail
    FROM analytics_events
    WHERE session_id = CAST($session_id AS VARCHAR)
        AND type NOT IN ('peer.join', 'peer.leave')
    UNION ALL
    SELECT started_at AS moment, 'recording started' AS what, started_by AS who, id AS detail
    FROM recordings
    WHERE session_id = CAST($session_id AS VARCHAR) AND started_at IS NOT NULL
    UNION ALL
    SELECT stopped_at AS moment, 'recording ' || status AS what, stopped_by AS who, id AS detail
    FROM recordings
    WHERE session_id = CAST($session_id AS VARCHAR) AND stopped_at IS NOT NULL
)

SELECT
    moment,
    what,
    who,
    detail
FROM timeline
ORDER BY moment, what, who, detail;
