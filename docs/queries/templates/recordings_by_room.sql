-- Which rooms and sessions were recorded, and what came out of it?
--
-- One line for each session that was recorded, with the room it belongs to. `session_started_at` and
-- `session_stopped_at` are those of the session, empty if the session is not in the table. `hours` and
-- `gigabytes` are of the primary file of each recording, not of its chats, transcripts and tracks.
--
{{ sql.parameters(
    since="timestamp in UTC without a zone, counts recordings asked for at or after it",
    until="timestamp in UTC without a zone, counts recordings asked for before it",
    room_id="text, one room; empty for all rooms",
) }}

WITH chosen AS (
    SELECT
        room_id,
        session_id,
        status,
        duration,
        size
    FROM recordings
    WHERE {{ sql.within("created_at") | indent(4) }}
        AND {{ sql.is_chosen("room_id", "room_id") }}
),

per_session AS (
    SELECT
        room_id,
        session_id,
        count(*) AS recordings,
        count(CASE WHEN status = 'completed' THEN 1 END) AS completed,
        count(CASE WHEN status = 'failed' THEN 1 END) AS failed,
        coalesce(sum(duration), 0) AS seconds,
        coalesce(sum(size), 0) AS bytes
    FROM chosen
    GROUP BY room_id, session_id
)

SELECT
    per_session.room_id,
    rooms.name AS room_name,
    per_session.session_id,
    {{ sql.utc("sessions.started_at") }} AS session_started_at,
    {{ sql.utc("sessions.stopped_at") }} AS session_stopped_at,
    per_session.recordings,
    per_session.completed,
    per_session.failed,
    {{ sql.rounded("per_session.seconds / 3600", 2) }} AS hours,
    {{ sql.rounded(sql.decimal("per_session.bytes") ~ " / 1000000000", 3) }} AS gigabytes
FROM per_session
LEFT JOIN rooms ON per_session.room_id = rooms.id
LEFT JOIN sessions ON per_session.session_id = sessions.id
ORDER BY per_session.room_id NULLS LAST, per_session.session_id NULLS LAST;
