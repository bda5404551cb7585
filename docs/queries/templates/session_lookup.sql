-- A customer complains about one session: what happened in it, in order?
--
-- Joins and leaves come from the session, failures and tracks from the events (which 100ms keeps for 30
-- days), recordings from theirs. `session stopped` is the time of `stopped_at`: the end that 100ms gives
-- (`ended_at`), else that of the last peer who left.
--
{{ sql.parameters(
    session_id="text, the id of the session",
) }}

WITH chosen AS (
    SELECT
        room_id,
        active,
        {{ sql.utc("created_at") }} AS created_at,
        {{ sql.utc("stopped_at") }} AS stopped_at,
        peers
    FROM sessions
    WHERE id = CAST({{ sql.parameter("session_id") }} AS {{ sql.text }})
),

stays AS (
    {{ sql.items(
        "chosen AS s",
        "s.peers",
        {},
        {
            "peer_name": ("name", "text"),
            "peer_role": ("role", "text"),
            "joined_at": ("joined_at", "time"),
            "left_at": ("left_at", "time"),
            "seconds": ("duration", "number"),
        },
    ) | indent(4) }}
),

timeline AS (
    SELECT created_at AS moment, 'session created' AS what, CAST(NULL AS {{ sql.text }}) AS who, room_id AS detail
    FROM chosen
    UNION ALL
    SELECT stopped_at AS moment, 'session stopped' AS what, CAST(NULL AS {{ sql.text }}) AS who, room_id AS detail
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
        'after ' || CAST({{ sql.rounded("seconds", 0) }} AS {{ sql.text }}) || ' s' AS detail
    FROM stays
    WHERE left_at IS NOT NULL
    UNION ALL
    SELECT
        {{ sql.utc("created_at") }} AS moment,
        type AS what,
        coalesce(nullif({{ sql.member("data", "user_name") }}, ''), nullif(user_id, '')) AS who,
        peer_id AS detail
    FROM analytics_events
    WHERE session_id = CAST({{ sql.parameter("session_id") }} AS {{ sql.text }})
        AND type NOT IN ('peer.join', 'peer.leave')
    UNION ALL
    SELECT {{ sql.utc("started_at") }} AS moment, 'recording started' AS what, started_by AS who, id AS detail
    FROM recordings
    WHERE session_id = CAST({{ sql.parameter("session_id") }} AS {{ sql.text }}) AND started_at IS NOT NULL
    UNION ALL
    SELECT {{ sql.utc("stopped_at") }} AS moment, 'recording ' || status AS what, stopped_by AS who, id AS detail
    FROM recordings
    WHERE session_id = CAST({{ sql.parameter("session_id") }} AS {{ sql.text }}) AND stopped_at IS NOT NULL
)

SELECT
    moment,
    what,
    who,
    detail
FROM timeline
ORDER BY moment, what, who, detail;
