-- Which rooms and sessions were recorded, and what came out of it?
--
-- One line for each session that was recorded, with the room it belongs to. `session_started_at` and
-- `session_stopped_at` are those of the session, empty if the session is not in the table. `hours` and
-- `gigabytes` are of the primary file of each recording, not of its chats, transcripts and tracks.
--
-- Parameters:
--   :'since'    timestamp in UTC without a zone, counts recordings asked for at or after it
--   :'until'    timestamp in UTC without a zone, counts recordings asked for before it
--   :'room_id'  text, one room; empty for all rooms
--
-- For PostgreSQL. Generated from templates/recordings_by_room.sql: change that, not this.

WITH chosen AS (
    SELECT
        room_id,
        session_id,
        status,
        duration,
        size
    FROM recordings
    WHERE to_timestamp(extract(epoch FROM created_at)) AT TIME ZONE 'UTC' >= CAST(:'since' AS timestamp)
        AND to_timestamp(extract(epoch FROM created_at)) AT TIME ZONE 'UTC' < CAST(:'until' AS timestamp)
        AND coalesce(CAST(:'room_id' AS text), '') IN ('', room_id)
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
    to_timestamp(extract(epoch FROM sessions.started_at)) AT TIME ZONE 'UTC' AS session_started_at,
    to_timestamp(extract(epoch FROM sessions.stopped_at)) AT TIME ZONE 'UTC' AS session_stopped_at,
    per_session.recordings,
    per_session.completed,
    per_session.failed,
    round(CAST(per_session.seconds / 3600 AS numeric), 2) AS hours,
    round(CAST(CAST(per_session.bytes AS numeric) / 1000000000 AS numeric), 3) AS gigabytes
FROM per_session
LEFT JOIN rooms ON per_session.room_id = rooms.id
LEFT JOIN sessions ON per_session.session_id = sessions.id
ORDER BY per_session.room_id NULLS LAST, per_session.session_id NULLS LAST;
