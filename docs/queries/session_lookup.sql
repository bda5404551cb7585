-- A customer complains about one session: what happened in it, in order?
--
-- Joins and leaves come from the session, failures and tracks from the events (which 100ms keeps
-- for 30 days), recordings from theirs.
--
-- Parameters:
--   $session_id  the session's id

WITH chosen AS (
    SELECT * FROM sessions WHERE id = $session_id
),

peers AS (
    SELECT unnest(from_json(
        peers,
        '[{"name": "VARCHAR", "role": "VARCHAR", "joined_at": "TIMESTAMP", "left_at": "TIMESTAMP", "duration": "DOUBLE"}]'
    )) AS peer
    FROM chosen
),

timeline AS (
    SELECT created_at AS moment, 'session created' AS what, NULL AS who, room_id AS detail FROM chosen
    UNION ALL
    SELECT stopped_at, 'session stopped', NULL, room_id FROM chosen WHERE NOT active
    UNION ALL
    SELECT peer.joined_at, 'joined', peer.name, peer.role FROM peers
    WHERE peer.joined_at IS NOT NULL
    UNION ALL
    SELECT peer.left_at, 'left', peer.name, round(peer.duration, 3) || ' s' FROM peers
    WHERE peer.left_at IS NOT NULL
    UNION ALL
    SELECT created_at, type, coalesce(nullif(data ->> 'user_name', ''), nullif(user_id, '')), peer_id
    FROM analytics_events
    WHERE session_id = $session_id
    UNION ALL
    SELECT started_at, 'recording started', started_by, id FROM recordings
    WHERE session_id = $session_id AND started_at IS NOT NULL
    UNION ALL
    SELECT stopped_at, 'recording ' || status, stopped_by, id FROM recordings
    WHERE session_id = $session_id AND stopped_at IS NOT NULL
)

SELECT moment, what, who, detail
FROM timeline
ORDER BY moment, what, who, detail;
